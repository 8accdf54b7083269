// The curves, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const LEFT = 48;
const BOTTOM = 20;
const TOP = 8;

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// A figure's chart. Its axes stay as long as they fit: to lay out their texts would cost more than the lines do.
export class Chart {
  #svg = element("svg", { class: "curve", role: "img" });
  #axes = element("g");
  #marks = new Map();
  #drawn = "";
  #width = 200;

  // `resized` is called when the figure has another width, and at first.
  constructor(figure, resized) {
    this.#svg.append(this.#axes);
    figure.append(this.#svg);
    new ResizeObserver(([entry]) => {
      this.#width = Math.max(200, Math.round(entry.contentRect.width));
      resized();
    }).observe(figure);
  }

  // Steps 1 to `total` and values from `low` to `high`; returns x and y, which turn these into pixels.
  scale(total, low, high, scale, ticks, label) {
    const width = this.#width;
    const x = (step) => LEFT + (width - LEFT - 8) * (step / total);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (scale(value) - scale(low)) / (scale(high) - scale(low)));
    this.#svg.ariaLabel = label;
    const wanted = JSON.stringify([width, total, low, high]);
    if (wanted === this.#drawn) return { x, y };
    this.#drawn = wanted;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#axes.replaceChildren(
      ...ticks.flatMap(([value, text]) => [
        element("line", { class: "grid", x1: LEFT, x2: width - 8, y1: y(value), y2: y(value) }),
        element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, text),
      ]),
      ...(total > 1 ? roundSteps(total) : []).map((step) => {
        const attributes = { x: x(step), y: HEIGHT - 5, "text-anchor": step === total ? "end" : "middle" };
        return element("text", attributes, step.toLocaleString("en"));
      }),
    );
    return { x, y };
  }

  // Draw a path, in place of the last of that class.
  path(name, d) {
    if (!this.#marks.has(name)) {
      this.#marks.set(name, element("path", { class: name }));
      this.#svg.append(this.#marks.get(name));
    }
    this.#marks.get(name).setAttribute("d", d);
  }
}

// From 0 to at most `total`, three to six of them, 1, 2 or 5 times a power of ten apart.
function roundSteps(total) {
  const unit = 10 ** Math.floor(Math.log10(total / 2));
  const apart = [5 * unit, 2 * unit].find((distance) => total / distance >= 3) ?? unit;
  return Array.from({ length: Math.floor(total / apart) + 1 }, (_, index) => index * apart);
}

const BINS = 200; // of a run: its losses are not kept one by one, and each bin costs the browser time
const SMOOTHED = 2; // bins: a hundredth of the run

// The losses of a run of `total` steps: of each bin of steps how many, their sum, the lowest and the highest.
export class Losses {
  count = 0; // steps
  last = null;
  #bins = [];

  constructor(total) {
    this.size = Math.max(1, Math.ceil(total / BINS));
  }

  // null is a loss that is no finite number.
  add(loss) {
    const index = Math.floor(this.count / this.size);
    this.count += 1;
    this.#bins[index] ??= { sum: 0, count: 0, low: Infinity, high: -Infinity };
    if (loss === null) return;
    const bin = this.#bins[index];
    bin.sum += loss;
    bin.count += 1;
    bin.low = Math.min(bin.low, loss);
    bin.high = Math.max(bin.high, loss);
    this.last = loss;
  }

  // [step, lowest, highest] of each bin.
  ranges() {
    return this.#bins.flatMap(({ count, low, high }, index) => (count > 0 ? [[index * this.size + 1, low, high]] : []));
  }

  // [step, mean] of each hundredth of the run, or what there is of the last.
  smoothed() {
    const means = [];
    for (let first = 0; first < this.#bins.length; first += SMOOTHED) {
      const part = this.#bins.slice(first, first + SMOOTHED);
      const count = part.reduce((sum, bin) => sum + bin.count, 0);
      const middle = (first + part.length / 2) * this.size;
      if (count > 0) means.push([Math.min(middle, this.count), part.reduce((sum, bin) => sum + bin.sum, 0) / count]);
    }
    return means;
  }
}

export function drawLoss(chart, losses, total) {
  const [ranges, smoothed] = [losses.ranges(), losses.smoothed()];
  const high = Math.max(3, ...ranges.map(([, , highest]) => highest));
  const lowest = Math.min(0.01, ...smoothed.map(([, mean]) => mean)); // single batches may leave the scale
  const low = 10 ** Math.max(-6, Math.floor(Math.log10(lowest)));
  const ticks = [1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10, 100, 1000].filter((tick) => tick >= low && tick <= high);
  const words = losses.last === null ? "no step yet" : `${losses.last.toPrecision(3)} after step ${losses.count}`;
  const { x, y } = chart.scale(total, low, high, Math.log, ticks.map((tick) => [tick, `${tick}`]), `Loss: ${words}`);
  const height = (loss) => y(Math.max(loss, low)).toFixed(1);
  chart.path("raw", line(ranges.map(([step, lowest, highest]) => `${x(step).toFixed(1)} ${height(highest)}V${height(lowest)}`)));
  chart.path("smooth", line(smoothed.map(([step, mean]) => `${x(step).toFixed(1)} ${height(mean)}`)));
}

const line = (points) => (points.length > 0 ? `M${points.join("L")}` : "");

export function drawAccuracy(chart, evaluations, total) {
  const points = evaluations.filter(([, accuracy]) => accuracy !== null).map(([step, accuracy]) => [step, 100 * accuracy]);
  const lowest = Math.min(...points.map(([, accuracy]) => accuracy));
  const low = points.length === 0 ? 0 : [99, 98, 95, 90, 75, 50, 0].find((start) => start <= lowest);
  const ticks = [0, 1, 2, 3, 4, 5].map((fifth) => low + (fifth * (100 - low)) / 5).map((tick) => [tick, `${+tick.toFixed(1)}%`]);
  const last = points.length > 0 ? `, ${points.at(-1)[1].toFixed(2)}% after step ${points.at(-1)[0]}` : ", not measured yet";
  const { x, y } = chart.scale(total, low, 100, (value) => value, ticks, `Accuracy on the test images${last}`);
  const places = points.map(([step, accuracy]) => `${x(step).toFixed(1)} ${y(accuracy).toFixed(1)}`);
  chart.path("points", line(places));
  chart.path("dots", places.map((place) => `M${place}h0`).join("")); // round ends of lines of no length
}
