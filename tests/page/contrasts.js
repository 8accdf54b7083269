// [element, contrast] of each text that is shown, with what is behind it, as WCAG 2.2 defines it.
() => {
  const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  const luminance = (layers) => {
    for (const colour of ["white", ...layers]) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data]
      .map((byte) => byte / 255)
      .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };

  const contrast = (element, colour) => {
    const behind = [];
    for (let each = element; each !== null; each = each.parentElement) {
      behind.unshift(getComputedStyle(each).backgroundColor);
    }
    const [low, high] = [luminance(behind), luminance([...behind, colour])].sort((one, other) => one - other);
    return [element.outerHTML, (high + 0.05) / (low + 0.05)];
  };

  const shown = [...document.querySelectorAll("body *")]
    .filter((element) => !element.disabled && element.checkVisibility());
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const style = (element) => getComputedStyle(element)[element instanceof SVGElement ? "fill" : "color"];
  return [
    ...shown.filter(hasText).map((element) => contrast(element, style(element))),
    ...shown.filter((element) => element.placeholder)
      .map((element) => contrast(element, getComputedStyle(element, "::placeholder").color)),
  ];
}
