// The curves, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const LEFT = 48;
const BOTTOM = 20;
const TOP = 8;

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// An empty chart of steps 1 to `total` in the figure: x and y turn values into pixels.
function chart(figure, total, low, high, scale, ticks, label) {
  const width = Math.max(200, figure.clientWidth);
  const svg = element("svg", { class: "curve", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label });
  const x = (step) => LEFT + (width - LEFT - 8) * (step / total);
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (scale(value) - scale(low)) / (scale(high) - scale(low)));
  for (const [value, text] of ticks) {
    svg.append(
      element("line", { class: "grid", x1: LEFT, x2: width - 8, y1: y(value), y2: y(value) }),
      element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, text),
    );
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const anchor = share === 1 ? "end" : "middle";
    const step = Math.round(share * total).toLocaleString("en");
    svg.append(element("text", { x: x(share * total), y: HEIGHT - 5, "text-anchor": anchor }, step));
  }
  figure.querySelector("svg")?.remove();
  figure.append(svg);
  return { svg, x, y };
}

const BINS = 600; // of a run: its losses are not kept one by one, however long it is
const SMOOTHED = 6; // bins: a hundredth of the run

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

export function drawLoss(figure, losses, total) {
  const [ranges, smoothed] = [losses.ranges(), losses.smoothed()];
  const high = Math.max(3, ...ranges.map(([, , highest]) => highest));
  const low = Math.max(1e-6, Math.min(0.01, ...smoothed.map(([, mean]) => mean))); // of the scale: single batches may leave it
  const ticks = [1e-5, 1e-4, 0.001, 0.01, 0.1, 1, 10, 100, 1000].filter((tick) => tick >= low && tick <= high);
  const words = losses.last === null ? "no step yet" : `${losses.last.toPrecision(3)} after step ${losses.count}`;
  const { svg, x, y } = chart(figure, total, low, high, Math.log, ticks.map((tick) => [tick, `${tick}`]), `Loss: ${words}`);
  const height = (loss) => y(Math.max(loss, low)).toFixed(1);
  const raw = ranges.map(([step, lowest, highest]) => `${x(step).toFixed(1)} ${height(highest)}V${height(lowest)}`);
  const smooth = smoothed.map(([step, mean]) => `${x(step).toFixed(1)} ${height(mean)}`);
  svg.append(element("path", { class: "raw", d: line(raw) }), element("path", { class: "smooth", d: line(smooth) }));
}

const line = (points) => (points.length > 0 ? `M${points.join("L")}` : "");

export function drawAccuracy(figure, evaluations, total) {
  const points = evaluations.filter(([, accuracy]) => accuracy !== null).map(([step, accuracy]) => [step, 100 * accuracy]);
  const lowest = Math.min(...points.map(([, accuracy]) => accuracy));
  const low = points.length === 0 ? 0 : [99, 98, 95, 90, 75, 50, 0].find((start) => start <= lowest);
  const ticks = [0, 1, 2, 3, 4, 5].map((fifth) => low + (fifth * (100 - low)) / 5).map((tick) => [tick, `${+tick.toFixed(1)}%`]);
  const last = points.length > 0 ? `, ${points.at(-1)[1].toFixed(2)}% after step ${points.at(-1)[0]}` : ", not measured yet";
  const { svg, x, y } = chart(figure, total, low, 100, (value) => value, ticks, `Accuracy on the test images${last}`);
  const path = points.map(([step, accuracy]) => `${x(step).toFixed(1)} ${y(accuracy).toFixed(1)}`);
  svg.append(element("path", { class: "points", d: line(path) }));
  for (const [step, accuracy] of points) svg.append(element("circle", { cx: x(step), cy: y(accuracy), r: 3.5 }));
}
