// Small grey pictures on canvases.

// pixels: base64 of 28x28 grey bytes.
export function paint(canvas, pixels) {
  const bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0));
  fill(canvas, 28, (index) => bytes[index]);
}

// weights: of a square filter; blue is negative, orange positive, as strong as `strongest` makes it.
export function paintFilter(canvas, weights, strongest) {
  const side = Math.sqrt(weights.length);
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  weights.forEach((weight, index) => {
    const share = Math.min(1, Math.abs(weight) / strongest);
    const colour = weight < 0 ? [0, 114, 178] : [230, 120, 0];
    colour.forEach((full, channel) => { image.data[4 * index + channel] = 255 + (full - 255) * share; });
    image.data[4 * index + 3] = 255;
  });
  context.putImageData(image, 0, 0);
}

function fill(canvas, side, grey) {
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  for (let index = 0; index < side * side; index++) {
    image.data.fill(grey(index), 4 * index, 4 * index + 3);
    image.data[4 * index + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
