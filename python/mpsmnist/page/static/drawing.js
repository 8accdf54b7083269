// The canvas, and what the network says of what is on it: asked anew at each stroke, and as the network learns.

import { token } from "./live.js";
import { paint } from "./pictures.js";

const PEN = 22; // pixels of 280, as wide as MNIST's strokes
const SIDE = 64; // pixels a side of what is sent: few are read sooner, and MNIST's digits have 20
const MANY = 20; // bars: more stand in two columns
const PAPER = 0.25; // around the strokes, to each side, of the longer of their sides

const $ = (selector) => document.querySelector(selector);

export class Drawing {
  #live;
  #canvas = $("#canvas");
  #context = $("#canvas").getContext("2d", { willReadFrequently: true });
  #small = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
  #strokes = []; // lists of points
  #picture = null; // a file that was opened, in place of strokes
  #waiting = false; // for an answer: one question at a time, or they would queue up
  #changed = false; // since the question that is being answered
  #step = null;
  #isBlank = false; // there is no digit, whatever the network has learned

  constructor(live) {
    this.#live = live;
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    $("#undo").addEventListener("click", () => this.#undo());
    $("#clear").addEventListener("click", () => this.#clear());
    $("#file").addEventListener("change", (event) => {
      this.#open(event.target.files[0]);
      event.target.value = "";
    });
    document.addEventListener("paste", (event) => this.#open(event.clipboardData.files[0]));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target.tagName !== "INPUT") this.#undo();
    });
    for (const name of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(name, (event) => {
        event.preventDefault();
        canvas.classList.toggle("dropping", name === "dragover");
        if (name === "drop") this.#open(event.dataTransfer.files[0]);
      });
    }
    this.#redraw();
  }

  connected(connected) {
    this.#wait(false);
    if (connected) this.#ask();
  }

  // The network may have learned since the last answer.
  watch({ state, first, losses }) {
    $("#verdict").ariaLive = state === "running" ? "off" : "polite"; // a screen reader would never be silent
    if (first + losses.length !== this.#step && !this.#isBlank) this.#ask();
  }

  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#canvas.setPointerCapture(event.pointerId);
    if (this.#picture !== null) this.#clear();
    this.#strokes.push([]);
    this.#go(event);
  }

  #go(event) {
    if (!this.#canvas.hasPointerCapture(event.pointerId)) return;
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    const stroke = this.#strokes.at(-1);
    for (const { clientX, clientY } of event.getCoalescedEvents?.().concat(event) ?? [event]) {
      stroke.push([(clientX - box.left) * scale, (clientY - box.top) * scale]);
    }
    this.#redraw();
    this.#ask();
  }

  #undo() {
    this.#strokes.pop();
    this.#redraw();
    this.#ask();
  }

  #clear() {
    this.#strokes = [];
    this.#picture = null;
    this.#redraw();
    this.#ask();
  }

  #redraw() {
    this.#isBlank = false;
    const context = this.#context;
    context.fillStyle = "white";
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    if (this.#picture !== null) {
      const { image } = this.#picture;
      const scale = this.#canvas.width / Math.max(image.width, image.height);
      const [width, height] = [image.width * scale, image.height * scale];
      context.drawImage(image, (this.#canvas.width - width) / 2, (this.#canvas.height - height) / 2, width, height);
    }
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "black";
    for (const [[x, y], ...rest] of this.#strokes) {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x, y);
      for (const point of rest) context.lineTo(...point);
      context.stroke();
    }
  }

  async #open(file) {
    if (file === undefined) return;
    this.#strokes = [];
    this.#picture = { file, image: await createImageBitmap(file).catch(() => new OffscreenCanvas(1, 1)) };
    this.#redraw();
    this.#ask();
  }

  #ask() {
    if (this.#isEmpty()) return this.#forget();
    this.#changed = true;
    if (this.#waiting) return;
    this.#changed = false;
    this.#wait(true);
    if (this.#picture !== null) this.#upload(this.#picture.file);
    else if (!this.#live.send(this.#pixels())) this.#wait(false);
  }

  // The square around the strokes as SIDE x SIDE grey bytes.
  #pixels() {
    const { width } = this.#canvas;
    const [low, high] = [[width, width], [0, 0]];
    for (const point of this.#strokes.flat()) {
      for (const axis of [0, 1]) {
        const place = Math.min(Math.max(point[axis], 0), width); // strokes may leave the canvas
        low[axis] = Math.min(low[axis], place - PEN / 2);
        high[axis] = Math.max(high[axis], place + PEN / 2);
      }
    }
    const side = (1 + 2 * PAPER) * Math.max(high[0] - low[0], high[1] - low[1]);
    const [left, top] = [0, 1].map((axis) => (low[axis] + high[axis] - side) / 2);
    const context = this.#small;
    context.fillStyle = "white";
    context.fillRect(0, 0, SIDE, SIDE);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#canvas, left, top, side, side, 0, 0, SIDE, SIDE);
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    return Uint8Array.from({ length: SIDE * SIDE }, (_, index) => data[4 * index]);
  }

  async #upload(file) {
    try {
      const response = await fetch(`read?token=${encodeURIComponent(token)}`, { method: "POST", body: file });
      const answer = await response.json();
      if (response.ok) this.show(answer);
      else if (answer.blank) this.showBlank({ reason: answer.error });
      else this.fail(answer.error);
    } catch {
      this.fail("the file could not be sent");
    }
  }

  #wait(waiting) {
    this.#waiting = waiting;
    $("#bars").ariaBusy = waiting;
  }

  #answered() {
    this.#wait(false);
    if (this.#changed) this.#ask();
  }

  show({ digit, names, probabilities, unsure, pixels, step }) {
    this.#step = step;
    if (this.#isEmpty()) return this.#answered(); // it was cleared meanwhile
    const share = probabilities[digit];
    $("#verdict").textContent = unsure === null ? `${names[digit]}: ${(100 * share).toFixed(1)}%` : `Unsure: ${unsure}. Best guess: ${names[digit]}`;
    paint($("#seen"), pixels);
    this.#showBars(digit, probabilities, names);
    this.#answered();
  }

  // What does not change is not made anew: there is a bar for each class as long as there are bars.
  #showBars(digit, probabilities, names) {
    const bars = $("#bars");
    if (bars.children.length !== probabilities.length) {
      bars.innerHTML = '<li><span></span><div class="bar"><div></div></div><span class="share"></span></li>'.repeat(probabilities.length);
      bars.className = probabilities.length > MANY ? "many" : "";
    }
    probabilities.forEach((probability, index) => {
      const item = bars.children[index];
      const [label, bar, share] = item.children;
      item.className = index === digit ? "best" : "";
      if (label.textContent !== names[index]) label.textContent = names[index];
      bar.firstChild.style.transform = `scaleX(${probability})`;
      share.textContent = `${(100 * probability).toFixed(1)}%`;
    });
  }

  showBlank({ reason }) {
    this.#isBlank = !this.#changed;
    if (!this.#isEmpty()) this.#forget(`Nothing to read: ${reason}`);
    this.#answered();
  }

  fail(message) {
    if (!this.#isEmpty()) this.#forget(message);
    this.#wait(false);
  }

  #isEmpty() {
    return this.#strokes.length === 0 && this.#picture === null;
  }

  #forget(words = "Draw, or drop or paste a picture.") {
    $("#verdict").textContent = words;
    $("#bars").replaceChildren();
    $("#seen").getContext("2d").clearRect(0, 0, 28, 28);
  }
}
