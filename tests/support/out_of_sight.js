// What a reader of this width cannot see, or not read: elements beyond the edges, boxes that scroll
// sideways, and words of charts that are too small, or cut. A `pre` may scroll: it is a quotation.
() => {
  const wide = document.documentElement.clientWidth, found = new Set();
  const name = one => {
    const id = one.id && `#${one.id}`, kind = one.getAttribute("class") ?? "";
    return `${one.tagName.toLowerCase()}${id} ${kind}: ${one.textContent.trim().slice(0, 60)}`;
  };
  for (const one of document.querySelectorAll("body *")) {
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height || one.closest("pre, thead, .hidden")) continue;
    if (box.right > wide + 0.5 || box.left < -0.5) found.add(`out of sight: ${name(one)}`);
    if (one.matches("div, table, section") && one.scrollWidth > one.clientWidth + 1)
      found.add(`scrolls: ${name(one)}`);
  }
  for (const one of document.querySelectorAll("svg text")) {
    const svg = one.ownerSVGElement, picture = svg.getBoundingClientRect();
    if (!picture.width || one.closest("defs") || !one.textContent.trim()) continue;
    const shown = picture.width / svg.viewBox.baseVal.width;
    const size = parseFloat(getComputedStyle(one).fontSize) * shown;
    if (size < 9) found.add(`${size.toFixed(1)} px in ${svg.id}: ${one.textContent}`);
    const box = one.getBoundingClientRect();
    if (box.right > picture.right + 1 || box.left < picture.left - 1)
      found.add(`cut in ${svg.id}: ${one.textContent}`);
  }
  return [...found];
}
