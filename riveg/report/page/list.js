// The list of samples: only the rows in sight are in the document.

const ROW_HEIGHT = 68;
const list = byId("list");
const space = byId("rows-space");
let listed = [];
const shownRows = new Map();

function showList(rowsToList) {
  listed = rowsToList;
  space.style.height = `${listed.length * ROW_HEIGHT}px`;
  space.replaceChildren();
  shownRows.clear();
  byId("nothing").hidden = listed.length > 0;
  list.hidden = listed.length === 0;
  drawRows();
}

function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
  const last = Math.min(listed.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + 4);
  for (const [position, element] of shownRows) {
    if (position >= first && position < last) continue;
    element.remove();
    shownRows.delete(position);
  }
  for (let position = first; position < last; position += 1) {
    if (shownRows.has(position)) continue;
    const element = rowElement(listed[position], position);
    shownRows.set(position, element);
    space.append(element);
  }
  markChosen();
}

function rowElement(row, position) {
  const element = make("div", {
    "role": "option", "class": "row", "id": `row-${row.order}`, "data-order": row.order,
    "aria-posinset": position + 1, "aria-setsize": listed.length, "aria-label": rowLabel(row),
  },
  thumbnail(row),
  make("div", { class: "row-words" },
    make("div", { class: "row-text" }, row.text || "(no text)"),
    make("div", { class: "row-foot" }, make("span", { class: "row-id" }, row.id), marks(row))));
  element.style.top = `${position * ROW_HEIGHT}px`;
  return element;
}

function rowLabel(row) {
  const kinds = row.items.map((item) => worded(item.outcome || (item.sides.find(Boolean) || {}).verdict || item.label));
  return `${row.id}: ${row.text} (${kinds.join(", ") || "no entity"})`;
}

function thumbnail(row) {
  const picture = pictureOf(row);
  const frame = make("div", { class: "thumbnail", "aria-hidden": "true" });
  if (picture && picture.data) frame.append(make("img", { src: picture.data, alt: "", decoding: "async" }));
  else if (picture) frame.append(make("span", { class: "no-thumbnail" }, row.path === null ? "text" : "!"));
  return frame;
}

const MOST_MARKS = 8;

/** One small mark for each entity: its outcome, its verdict, or its type. */
function marks(row) {
  const holder = make("span", { class: "marks" });
  for (const item of row.items.slice(0, MOST_MARKS)) holder.append(itemMark(item));
  if (row.items.length > MOST_MARKS) holder.append(make("span", { class: "more-marks" }, `+${row.items.length - MOST_MARKS}`));
  if (row.issueKinds.length) holder.append(make("span", { class: "issue-mark", title: row.issueKinds.join(", ") }, "!"));
  return holder;
}

function itemMark(item) {
  const side = item.sides.find(Boolean);
  if (item.outcome) return make("i", { class: `mark ${item.outcome}`, title: `${item.text}: ${worded(item.outcome)}` });
  if (side && side.verdict) return make("i", { class: `mark ${side.verdict}`, title: `${item.text}: ${worded(side.verdict)}` });
  const isGrounded = side && side.entity && side.entity.regions && side.entity.regions.length > 0;
  return make("i", { class: `mark typed${isGrounded ? "" : " hollow"}`, hue: colourOf(item.label), title: `${item.text}: ${item.label}` });
}

function markChosen() {
  const chosen = chosenRow();
  for (const element of shownRows.values()) {
    element.setAttribute("aria-selected", String(chosen !== null && element.id === `row-${chosen.order}`));
  }
  const isDrawn = chosen !== null && byId(`row-${chosen.order}`);
  if (isDrawn) list.setAttribute("aria-activedescendant", `row-${chosen.order}`);
  else list.removeAttribute("aria-activedescendant");
}

function scrollToChosen() {
  const position = listed.indexOf(chosenRow());
  if (position < 0) return;
  const top = position * ROW_HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW_HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_HEIGHT - list.clientHeight;
}

list.addEventListener("scroll", () => requestAnimationFrame(drawRows), { passive: true });
new ResizeObserver(() => drawRows()).observe(list);
list.addEventListener("click", (event) => {
  const element = event.target.closest(".row");
  if (element) choose(rows[Number(element.dataset.order)], { isStep: true });
});
