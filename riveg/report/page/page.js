// What holds the page together: the chosen sample, keys, layers, theme.

const narrow = matchMedia("(max-width: 760px)");
const detail = byId("detail");

const chosenRow = () => rows.find((row) => row.id === state.sample) || null;

function choose(row, { isStep = false } = {}) {
  state.sample = row.id;
  keepState({ isStep: isStep && narrow.matches });
  showDetail();
  scrollToChosen();
  drawRows();
}

/** One sample on; the first one where the chosen sample is not listed. */
function move(by) {
  if (!listed.length) return;
  const position = listed.indexOf(chosenRow());
  const next = position < 0 ? 0 : Math.min(listed.length - 1, Math.max(0, position + by));
  choose(listed[next]);
}

/** After anything but the chosen sample has changed. */
function update() {
  const found = filtered();
  showFacets(found.counts);
  showCount(found.listed, found.entities);
  const chosen = chosenRow();
  if (!narrow.matches && found.listed.length && (!chosen || !found.listed.includes(chosen))) state.sample = found.listed[0].id;
  keepState();
  showList(found.listed);
  scrollToChosen();
  drawRows();
  showDetail();
}

function showDetail() {
  const row = chosenRow();
  document.body.classList.toggle("reading", row !== null && narrow.matches);
  detail.replaceChildren();
  detail.scrollTop = 0;
  if (!row) {
    detail.append(make("p", { class: "placeholder" }, rows.length ? "Choose a sample." : "The run holds no sample."));
    return;
  }
  detail.append(detailHead(row), textView(row), ...sampleNotes(row));
  const figures = make("div", { class: "figures" }, ...row.answers.map((_, side) => pictureView(row, side)));
  const cards = make("div", { class: "cards" }, ...row.items.map((item) => cardView(row, item)));
  if (!row.items.length) cards.append(make("p", { class: "absent" }, noEntity(row)));
  detail.append(make("div", { class: isComparison ? "body compared" : "body" }, figures, cards));
}

const noEntity = (row) =>
  row.answers[0] && row.answers[0].entities === null ? "The entities were not answered." : "No entity.";

function detailHead(row) {
  const position = listed.indexOf(row);
  return make("header", { class: "detail-head" },
    make("button", { "type": "button", "class": "back", "data-do": "back" }, "‹ List"),
    make("h2", {}, row.id),
    make("span", { class: "position" }, position < 0 ? "" : `${whole(position + 1)} / ${whole(listed.length)}`),
    make("span", { class: "layers", role: "group", "aria-label": "Layers" }, ...layerButtons(row)),
    make("span", { class: "steps" },
      make("button", { "type": "button", "data-do": "previous", "aria-label": "Previous sample", "title": "Previous (k)" }, "↑"),
      make("button", { "type": "button", "data-do": "next", "aria-label": "Next sample", "title": "Next (j)" }, "↓")));
}

const hasHeat = (entity) => (entity.regions || []).some((region) => region.heat);
const LAYER_KEYS = { g: "gold", b: "boxes", m: "masks", e: "evidence", h: "heat", o: "original" };

function layerButtons(row) {
  const there = {
    gold: hasGold, boxes: true, masks: true, original: row.original !== null,
    heat: row.answers.some((answer) => answer && (answer.entities || []).some(hasHeat)),
    evidence: row.answers.some((answer) => answer && answer.observations.length),
  };
  return Object.entries(LAYER_KEYS).filter(([, name]) => there[name]).map(([key, name]) =>
    make("button", { "type": "button", "data-layer": name, "aria-pressed": String(state.layers[name]), "title": `${name} (${key})` }, name));
}

function sampleNotes(row) {
  const notes = row.answers.map((answer) => answer && issuesOf(answer, null)).filter(Boolean);
  row.answers.forEach((answer, side) => {
    for (const [name, text] of [["Knowledge", answer?.knowledge], ["Reasoning", answer?.reasoning]]) {
      if (text) {
        notes.push(make("details", { class: "knowledge" },
          make("summary", {}, isComparison ? `${name} ${SIDES[side]}` : name), make("p", {}, text)));
      }
    }
  });
  return notes;
}

function toggleLayer(name) {
  if (name === "gold" && !hasGold) return;
  state.layers[name] = !state.layers[name];
  keepState();
  const { scrollTop } = detail;
  const focused = document.activeElement && document.activeElement.dataset.layer;
  showDetail();
  detail.scrollTop = scrollTop;
  if (focused) detail.querySelector(`[data-layer="${focused}"]`)?.focus();
}

function backToList() {
  state.sample = null;
  keepState();
  showDetail();
  drawRows();
  list.focus();
}

const DOINGS = { back: backToList, previous: () => move(-1), next: () => move(1) };

detail.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.layer) return toggleLayer(button.dataset.layer);
  if (button && button.dataset.do) return DOINGS[button.dataset.do]();
  const shape = event.target.closest(".words, .shape, .shape-label");
  if (shape) detail.querySelector(`.card[data-item="${shape.dataset.item}"]`)?.scrollIntoView({ block: "nearest" });
  return undefined;
});

/** Word, card and box of one entity light up together. */
function light(target) {
  const element = target && target.closest ? target.closest("[data-item]") : null;
  const item = element && detail.contains(element) ? element.dataset.item : null;
  detail.classList.toggle("lighting", item !== null);
  for (const each of detail.querySelectorAll("[data-item]")) each.classList.toggle("lit", each.dataset.item === item);
}

detail.addEventListener("pointerover", (event) => light(event.target));
detail.addEventListener("pointerleave", () => light(null));
detail.addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) light(event.target); });
detail.addEventListener("focusout", () => light(null));

const KEYS_DO = {
  j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
  "/": () => byId("search").focus(), "?": openHelp,
  ...Object.fromEntries(Object.entries(LAYER_KEYS).map(([key, name]) => [key, () => toggleLayer(name)])),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isTyping = event.target instanceof Element && event.target.matches("input, select, textarea");
  if (isTyping) {
    if (event.key === "Escape") event.target.blur();
    if (event.key === "Enter" && event.target.id === "search") { event.target.blur(); move(0); }
    return;
  }
  if (!Object.hasOwn(KEYS_DO, event.key)) return;
  event.preventDefault();
  KEYS_DO[event.key]();
});

byId("search").addEventListener("input", (event) => { state.query = event.target.value; update(); });
byId("sort").addEventListener("change", (event) => {
  state.sort = event.target.value;
  state.sample = null; // Whoever sorts wants to see what comes first.
  list.scrollTop = 0;
  update();
});
byId("open-about").addEventListener("click", openAbout);
byId("open-help").addEventListener("click", openHelp);
for (const id of ["clear", "clear-too"]) {
  byId(id).addEventListener("click", () => {
    state = { ...nothingChosen(), sample: state.sample, sort: state.sort, layers: state.layers };
    byId("search").value = "";
    update();
  });
}
byId("toggle-facets").addEventListener("click", (event) => {
  const isOpen = byId("controls").classList.toggle("open");
  event.target.setAttribute("aria-expanded", String(isOpen));
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

const THEMES = ["system", "light", "dark"];
const stored = { // A browser may forbid storage to files.
  read() { try { return localStorage.getItem("riveg-theme"); } catch { return null; } },
  write(value) { try { localStorage.setItem("riveg-theme", value); } catch { /* kept until the reload */ } },
};

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
}

byId("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  setTheme(next);
  stored.write(next);
});

function readHash() {
  state = stateFromHash();
  byId("search").value = state.query;
  byId("sort").value = state.sort;
  update();
}

addEventListener("hashchange", readHash);
addEventListener("popstate", readHash);
narrow.addEventListener("change", update);
document.addEventListener("DOMContentLoaded", () => {
  showList(listed);
  scrollToChosen();
  drawRows();
  showDetail();
  document.documentElement.dataset.ready = "whole";
});

setTheme(THEMES.includes(stored.read()) ? stored.read() : "system");
for (const [name, title] of Object.entries(SORTS)) byId("sort").append(make("option", { value: name }, title));
showHeader();
readHash();
document.documentElement.dataset.ready = "records";
