// The form, the buttons, and how the run is.

import { Chart, drawAccuracy, drawLoss, Losses } from "./curves.js";
import { token } from "./live.js";

const OVER = ["stopped", "finished", "failed"];
const STARTING = "Starting …";
const NUMBERS = ["steps", "epochs", "batch_size", "learning_rate", "momentum", "seed"];

const $ = (selector) => document.querySelector(selector);

// Show a text, unless it is there already: the browser would lay it out anew.
function say(selector, text) {
  if ($(selector).textContent !== text) $(selector).textContent = text;
}

export class Training {
  #live;
  #form = $("#options");
  #presets = {};
  #run = null;
  #status = null;
  #starts = null; // how many there were when one more was asked for, until it is told of
  #losses = new Losses(1);
  #evaluations = [];
  #loss = new Chart($("#loss"), () => this.#draw());
  #accuracy = new Chart($("#accuracy"), () => this.#draw());

  constructor(live) {
    this.#live = live;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.#form.preset.addEventListener("change", () => this.#fill());
    for (const [one, other] of [["steps", "epochs"], ["epochs", "steps"]]) {
      this.#form[one].addEventListener("input", () => { this.#form[other].value = ""; });
    }
    $("#pause").addEventListener("click", () =>
      live.send({ type: "pause", pause: this.#status?.state !== "paused" }));
    $("#stop").addEventListener("click", () => live.send({ type: "stop" }));
    $("#save").href = `checkpoint?token=${encodeURIComponent(token)}`;
    document.addEventListener("visibilitychange", () => this.#draw());
  }

  // What the server can do. After a lost connection it may be another server, with runs of its own.
  offer({ presets, datasets, devices, opened }) {
    this.#run = this.#status = this.#starts = null;
    $("#save").hidden = !opened;
    if (this.#form.preset.length > 0) return;
    this.#presets = presets;
    for (const [name, choices] of Object.entries({ preset: Object.keys(presets), dataset: datasets, device: devices })) {
      this.#form[name].replaceChildren(...choices.map((choice) => new Option(choice)));
    }
    if ("fast" in presets) this.#form.preset.value = "fast";
    this.#fill();
  }

  connected(connected) {
    $("#start").disabled = !connected;
    if (!connected) $("#pause").disabled = $("#stop").disabled = true;
  }

  show(status) {
    if (status.run !== this.#run) {
      this.#run = status.run;
      this.#losses = new Losses(1);
      this.#evaluations = [];
    }
    this.#status = status;
    if (this.#losses.count === 0 && status.total !== undefined) this.#losses = new Losses(status.total);
    for (const loss of status.losses) this.#losses.add(loss);
    this.#evaluations.push(...status.evaluations);
    if (status.starts !== this.#starts) this.#starts = null;
    const over = OVER.includes(status.state);
    const began = status.total !== undefined;
    $("#start").disabled = !over || status.starting || this.#starts !== null;
    say("#start", over ? "Start anew" : "Start");
    $("#stop").disabled = over && !status.starting;
    $("#pause").disabled = over || !began;
    say("#pause", status.state === "paused" ? "Go on" : "Pause");
    if (began) $("#save").hidden = false;
    this.complain(status.error ?? status.warning ??
      (status.synthetic ? "MNIST is not to be had here: these are digits that the program drew." : ""));
    $("#progress").max = status.total ?? 1;
    $("#progress").value = this.#losses.count;
    say("#progress-text", this.#words(status));
    this.#draw();
  }

  // What was asked for cannot be.
  refuse(message) {
    this.#starts = null;
    if (this.#status !== null) this.show({ ...this.#status, losses: [], evaluations: [] });
    else {
      $("#start").disabled = false;
      say("#progress-text", "");
    }
    this.complain(message);
  }

  complain(message) {
    say("#problem", message);
    $("#problem").hidden = message === "";
  }

  #words({ state, starting, total, rate, left, device, dataset }) {
    if (this.#starts !== null) return STARTING;
    if (starting) return "Loading the data …";
    if (total === undefined) return "";
    const parts = [
      `${state}: step ${this.#losses.count.toLocaleString("en")} of ${total.toLocaleString("en")}`,
      `${dataset} on ${device}`,
    ];
    if (rate) parts.push(`${Math.round(rate).toLocaleString("en")} steps/s`);
    if (left !== null) parts.push(`${left < 90 ? `${Math.ceil(left)} s` : `${Math.ceil(left / 60)} min`} left`);
    const last = this.#evaluations.findLast(([, accuracy]) => accuracy !== null);
    if (last !== undefined) parts.push(`test accuracy ${(100 * last[1]).toFixed(2)}%`);
    return parts.join(", ");
  }

  #draw() {
    if (document.hidden) return; // the run needs the processor more
    const total = this.#status?.total ?? 1;
    drawLoss(this.#loss, this.#losses, total);
    drawAccuracy(this.#accuracy, this.#evaluations, total);
  }

  // The preset's values as placeholders: what is left empty is the preset's.
  #fill() {
    const preset = this.#presets[this.#form.preset.value];
    for (const name of NUMBERS) {
      if (name === "seed") continue;
      this.#form[name].placeholder = preset[name] ?? "";
      this.#form[name].value = "";
    }
    if (preset.epochs === undefined) this.#form.steps.placeholder = "300";
  }

  #begin() {
    const options = { dataset: this.#form.dataset.value, device: this.#form.device.value };
    for (const name of NUMBERS) {
      if (this.#form[name].value !== "") options[name] = Number(this.#form[name].value);
    }
    this.complain("");
    this.#starts = this.#status?.starts ?? 0;
    $("#start").disabled = true;
    say("#progress-text", STARTING);
    this.#live.send({ type: "begin", preset: this.#form.preset.value, options });
  }
}
