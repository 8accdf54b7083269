// The worst mistakes, the confusion matrix with its cells' images, and the first filters.

import { paint, paintFilter } from "./pictures.js";

const COLUMN = 1.6; // rem, of the confusion matrix, at least: four digits
const OVER = ["stopped", "finished"];

const $ = (selector) => document.querySelector(selector);
const make = (name, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};

export class Look {
  #live;
  #names = [];
  #ended = 0; // the run whose end was looked at
  #looking = false;
  #visible = false;
  #filtered = null; // the step whose filters are shown

  constructor(live) {
    this.#live = live;
    $("#look").addEventListener("click", () => this.#look());
    new IntersectionObserver(([entry]) => { this.#visible = entry.isIntersecting; }).observe($("#filters"));
  }

  watch({ run, state, first, losses, total }) {
    if (total === undefined) return;
    const step = first + losses.length;
    if (OVER.includes(state) && this.#ended !== run) {
      this.#ended = run;
      this.#look();
    } else if (this.#visible && step !== this.#filtered) {
      this.#filtered = step;
      this.#live.send({ type: "filters" });
    }
  }

  // What was asked for on a connection that is lost is not answered on the next one.
  connected(connected) {
    if (connected && this.#looking) this.#look();
  }

  #look() {
    this.#looking = true;
    $("#looked").textContent = "Looking …";
    this.#live.send({ type: "look" });
    this.#live.send({ type: "filters" });
  }

  fail(message) {
    if (this.#looking) $("#looked").textContent = message;
    this.#looking = false;
  }

  show({ step, images, wrong, names, confusion, mistakes }) {
    this.#names = names;
    this.#looking = false;
    $("#looked").textContent = `After step ${step.toLocaleString("en")}: ${wrong.toLocaleString("en")} of ${images.toLocaleString("en")} test images are read wrong.`;
    $("#mistakes").replaceChildren(...mistakes.map((mistake) => this.#picture(mistake)));
    const classes = confusion.map((_, index) => this.#heading("col", index));
    const most = Math.max(1, ...confusion.flatMap((row, label) => row.filter((_, answer) => answer !== label)));
    const rows = confusion.map((row, label) => make("tr", {},
      this.#heading("row", label),
      ...row.map((count, answer) => this.#cell(count, label, answer, most))));
    $("#confusion").style.minWidth = `${COLUMN * (names.length + 1)}rem`;
    $("#confusion").replaceChildren(make("thead", {}, make("tr", {}, make("td"), ...classes)), make("tbody", {}, ...rows));
    $("#cell-title").textContent = "";
    $("#cell").replaceChildren();
  }

  #heading(scope, index) {
    return make("th", { scope, textContent: this.#names[index], title: this.#names[index] }); // long ones are cut
  }

  #cell(count, label, answer, most) {
    const button = make("button", {
      type: "button",
      textContent: count,
      ariaLabel: `${this.#names[label]} read as ${this.#names[answer]}: ${count}`,
      disabled: count === 0,
      onclick: () => {
        $("#confusion [aria-current]")?.removeAttribute("aria-current");
        button.ariaCurrent = "true";
        this.#live.send({ type: "cell", label, answer });
      },
    });
    const cell = make("td", { className: count === 0 ? "zero" : "" }, button);
    if (label !== answer && count > 0) cell.style.background = `color-mix(in srgb, var(--warm) ${Math.round(10 + 40 * count / most)}%, transparent)`;
    return cell;
  }

  showCell({ label, answer, count, pictures }) {
    $("#cell-title").textContent = `${this.#names[label]} read as ${this.#names[answer]}: ${count.toLocaleString("en")} ${count === 1 ? "image" : "images"}` +
      (count > pictures.length ? `, here the ${pictures.length} surest` : "");
    $("#cell").replaceChildren(...pictures.map((picture) => this.#picture(picture)));
  }

  showFilters({ step, now, first }) {
    this.#filtered = step;
    const strongest = Math.max(...now.flat().map(Math.abs), 1e-6);
    const list = $("#filters");
    if (list.children.length === 0) list.append(...now.map((_, index) => this.#filter(index)));
    now.forEach((weights, index) => {
      const [large, small] = list.children[index].children;
      paintFilter(large, weights, strongest);
      small.hidden = first === null;
      if (first !== null) paintFilter(small, first[index], strongest);
    });
  }

  #filter(index) {
    const canvases = ["now", "at first"].map((words) => make("canvas", { role: "img", ariaLabel: `Filter ${index} ${words}` }));
    return make("li", {}, ...canvases);
  }

  #picture({ image, label, answer, probability, pixels }) {
    const canvas = make("canvas", { role: "img", ariaLabel: `test image ${image}` });
    paint(canvas, pixels);
    const words = label === answer ? `${(100 * probability).toFixed(0)}%` : `${this.#names[answer]}, is ${this.#names[label]}`;
    return make("li", { title: `test image ${image}: ${(100 * probability).toFixed(1)}% for ${this.#names[answer]}` }, canvas, words);
  }
}
