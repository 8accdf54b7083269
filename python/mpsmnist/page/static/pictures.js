// Small pictures on canvases.

// pixels: base64 of 28x28 grey bytes.
export function paint(canvas, pixels) {
  const bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0));
  fill(canvas, 28, (index) => [bytes[index], bytes[index], bytes[index]]);
}

// weights: of a square filter; blue is negative, orange positive, as strong as `strongest` makes it.
export function paintFilter(canvas, weights, strongest) {
  fill(canvas, Math.sqrt(weights.length), (index) => {
    const share = Math.min(1, Math.abs(weights[index]) / strongest);
    const colour = weights[index] < 0 ? [0, 114, 178] : [230, 120, 0];
    return colour.map((full) => 255 + (full - 255) * share);
  });
}

function fill(canvas, side, colour) {
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true }); // a GPU costs more than it helps
  const image = context.createImageData(side, side);
  for (let index = 0; index < side * side; index++) image.data.set([...colour(index), 255], 4 * index);
  context.putImageData(image, 0, 0);
}
