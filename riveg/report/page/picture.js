// The picture with boxes and masks over it, in pixels of the upright original.

function pictureView(row, side) {
  const answer = row.answers[side];
  const picture = pictureOf(row);
  const size = row.size || (picture && picture.size) || null;
  const figure = make("figure", { class: "picture" });
  if (isComparison) figure.append(sideHeading(side));
  if (!picture) figure.append(make("div", { class: "placeholder" }, "The page is still being read …"));
  else if (!picture.data) figure.append(placeholder(row, picture.fault));
  else figure.append(stageView(row, answer, side, picture, size));
  figure.append(captionView(row, answer, size));
  return figure;
}

const sideHeading = (side) =>
  make("h3", { class: "side-heading" }, make("b", { class: "side" }, SIDES[side]), summary.runs[side].name);

function placeholder(row, fault) {
  return make("div", { class: "placeholder", "data-fault": fault.kind },
    make("strong", {}, row.path === null ? "No picture" : "The picture cannot be shown"),
    make("span", {}, fault.message),
    row.path === null ? null : make("code", {}, fault.kind));
}

function stageView(row, answer, side, picture, size) {
  const [width, height] = size;
  const image = make("img", { src: picture.data, alt: (answer && answer.caption) || "the post's picture", class: "photo", draggable: "false" });
  const stage = make("div", { class: "stage" }, image);
  stage.style.setProperty("--ratio", width / height);
  if (state.layers.original && row.original) showOriginal(image, row, stage);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const labels = make("div", { class: "labels", "aria-hidden": "true" });
  if (state.layers.evidence && answer) drawEvidence(svg, answer);
  for (const shape of byArea(shapesOf(row, side))) drawShape(svg, labels, shape, size);
  stage.append(svg, labels);
  return stage;
}

/** The original in place of the small copy, once it is there. */
function showOriginal(image, row, stage) {
  const original = new Image();
  original.addEventListener("load", () => { image.src = original.src; });
  original.addEventListener("error", () => {
    stage.append(make("div", { class: "stage-note" }, "the original is not beside this page"));
  });
  original.src = row.original;
}

function shapesOf(row, side) {
  const shapes = [];
  for (const item of row.items) {
    const own = item.sides[side];
    const gold = item.goldEntity;
    const common = { item: item.index, text: item.text };
    if (gold && state.layers.gold) {
      for (const [rank, box] of (gold.boxes || []).entries()) {
        shapes.push({ ...common, box, label: gold.label, rank, isGold: true, hasPartner: Boolean(own && own.entity) });
      }
      for (const mask of gold.masks || []) if (mask) shapes.push({ ...common, mask, label: gold.label, isGold: true });
    }
    const regions = (own && own.entity && own.entity.regions) || [];
    for (const [rank, region] of regions.entries()) {
      shapes.push({ ...common, ...region, label: own.entity.label, text: own.entity.text, rank, isGold: false });
    }
  }
  return shapes;
}

const areaOf = ({ box }) => (box ? (box[2] - box[0]) * (box[3] - box[1]) : Infinity);
const byArea = (shapes) => shapes.sort((one, other) => areaOf(other) - areaOf(one));

function drawShape(svg, labels, shape, size) {
  const group = draw("g", {
    "class": `shape${shape.isGold ? " gold" : ""}${shape.rank ? " lesser" : ""}${shape.guess ? " guess" : ""}`,
    "data-item": shape.item, "hue": colourOf(shape.label),
  });
  if (shape.heat && state.layers.heat) group.append(...heatView(shape.heat, size));
  if (shape.mask && state.layers.masks) group.append(draw("path", { class: "mask", d: shape.mask, "fill-rule": "evenodd" }));
  if (shape.box && state.layers.boxes) {
    group.append(draw("rect", { class: "halo", ...sides(shape.box) }), draw("rect", { class: "box", ...sides(shape.box) }));
    if (!shape.rank && !(shape.isGold && shape.hasPartner)) labels.append(shapeLabel(shape, size));
  }
  svg.append(group);
}

let heatMasks = 0;

/** The entity's colour over the picture, the more of it the hotter. */
function heatView(address, [width, height]) {
  const id = `heat-${heatMasks++}`;
  const all = { x: 0, y: 0, width, height };
  return [
    draw("mask", { id }, draw("image", { href: address, preserveAspectRatio: "none", ...all })),
    draw("rect", { class: "heat", mask: `url(#${id})`, ...all }),
  ];
}

const sides = ([left, top, right, bottom]) => ({ x: left, y: top, width: right - left, height: bottom - top });

function shapeLabel(shape, [width, height]) {
  const [left, top, right] = shape.box;
  const label = make("span", {
    "class": `shape-label${shape.isGold ? " gold" : ""}`, "data-item": shape.item,
    "hue": colourOf(shape.label), "ink": inkOf(shape.label),
  }, shape.text, shape.guess ? make("small", {}, " guess") : null);
  // Above the box where there is room, else just inside it; from its right edge where it lies right.
  if (left / width > 0.6) label.style.right = `${100 * (1 - Math.min(right / width, 1))}%`;
  else label.style.left = `${100 * Math.max(left / width, 0)}%`;
  label.style.top = `${100 * Math.max(top / height, 0)}%`;
  if (top / height > 0.07) label.classList.add("above");
  return label;
}

function drawEvidence(svg, answer) {
  for (const found of answer.observations) {
    const words = [found.kind, found.text, decimal(found.score)].filter(Boolean).join(" · ");
    svg.append(draw("rect", { class: "observation", ...sides(found.box) }, draw("title", {}, words)));
  }
}

const isSaidAlike = (one, other) =>
  one.caption === other.caption && JSON.stringify(one.observations) === JSON.stringify(other.observations);

function captionView(row, answer, size) {
  const caption = make("figcaption");
  if (answer && row.answers[0] && answer !== row.answers[0] && isSaidAlike(answer, row.answers[0])) return caption;
  if (answer && answer.caption) caption.append(make("p", { class: "caption" }, answer.caption));
  const line = make("p", { class: "picture-line" });
  if (row.path !== null) line.append(make("span", { class: "path" }, row.path));
  if (size) line.append(make("span", {}, `${size[0]} × ${size[1]}`));
  if (row.original) {
    line.append(make("a", { href: row.original, target: "_blank", rel: "noopener noreferrer" }, "original"));
  }
  caption.append(line);
  const texts = ((answer && answer.observations) || []).map((found) => found.text ? `${found.kind} “${found.text}”` : found.kind);
  if (texts.length) caption.append(make("p", { class: "seen" }, `seen: ${texts.join(", ")}`));
  return caption;
}
