// Header, filters, and the two dialogs.

const METRICS = {
  gmner: "GMNER", eeg: "EEG", mner: "MNER", smner: "SMNER", fmnerg: "FMNERG", fmner: "FMNER",
  span: "span only", grounded: "grounded only", never_ground: "never grounding", perfect_boxes: "perfect boxes",
};
const MAIN = ["gmner", "eeg", "mner", "smner", "fmnerg", "fmner"];
const named = (metric) => METRICS[metric] || metric;

function showHeader() {
  const [run] = summary.runs;
  const title = summary.runs.map((each) => each.name).join(" against ");
  document.title = `${title} · riveg report`;
  byId("title").textContent = title;
  const data = distinct([run.data, run.version && `v${run.version}`, run.split]).filter(Boolean).join(" ");
  const words = [run.system, data, counted(summary.samples, "sample")];
  byId("about-line").textContent = words.filter(Boolean).join(" · ");
  for (const metric of MAIN) {
    if (summary.metrics[metric]) byId("scores").append(scoreView(metric, summary.metrics[metric]));
  }
  showNotice();
}

function scoreView(metric, counts) {
  const [first, second] = counts.length === 2 && counts.every(Boolean) ? counts : [counts.find(Boolean), null];
  const only = isComparison && !second ? `${SIDES[counts.indexOf(first)]} alone  ` : "";
  const holder = make("div", { class: "score", title: scoreTitle(counts), "data-metric": metric }, make("span", { class: "score-name" }, named(metric)));
  holder.append(make("b", {}, decimal((second || first).f1)));
  if (second) {
    const change = second.f1 - first.f1;
    const size = decimal(Math.abs(change));
    const [way, sign] = Number(size) === 0 ? ["level", ""] : change < 0 ? ["worse", "−"] : ["better", "+"];
    holder.append(make("span", { class: `change ${way}` }, `${sign}${size} against A`));
  } else {
    holder.append(make("span", { class: "score-parts" }, `${only}P ${decimal(first.precision)}  R ${decimal(first.recall)}`));
  }
  return holder;
}

const interval = (ends) => `${decimal(ends[0])}–${decimal(ends[1])}`;

const scoreTitle = (counts) => counts.map((count, side) => count &&
  `${counts.length > 1 ? `${SIDES[side]}: ` : ""}F1 ${decimal(count.f1)} (95 %: ${interval(count.interval)}), ${count.hits} hits of ${count.predicted} predicted and ${count.gold} gold`).filter(Boolean).join("\n");

function showNotice() {
  const notes = [];
  if (summary.shown < summary.samples) {
    const last = summary.skipped + summary.shown;
    const which = summary.skipped ? `samples ${whole(summary.skipped + 1)} to ${whole(last)}` : `the first ${whole(last)}`;
    notes.push(`Partial: ${which} of ${counted(summary.samples, "sample")} are shown, and counted in the filters. Scores are of the whole run.`);
  }
  summary.runs.forEach((run, side) => {
    const name = isComparison ? `${SIDES[side]}: ` : "";
    if (run.limit) notes.push(`${name}partial run, made with --limit ${run.limit}.`);
    if (run.oracle.length) notes.push(`${name}gold was given to ${run.oracle.join(", ")}: no score here is the system's own.`);
    if (summary.withoutGold[side]) notes.push(`${name}${counted(summary.withoutGold[side], "sample")} without gold, not judged.`);
    if (summary.withoutPrediction[side]) notes.push(`${name}${counted(summary.withoutPrediction[side], "sample")} of the gold not in the run: missed in the scores, not shown.`);
  });
  if (hasGold && !summary.places) notes.push("Nothing is said of places: verdicts are of words and types alone.");
  if (summary.notInSecond) notes.push(`${counted(summary.notInSecond, "sample")} only in A.`);
  if (summary.onlyInSecond) notes.push(`${counted(summary.onlyInSecond, "sample")} only in B, not shown.`);
  byId("notice").hidden = notes.length === 0;
  byId("notice").textContent = notes.join(" ");
}

const MOST_VALUES = 12;
const unfolded = new Set();

function showFacets(counts) {
  const holder = byId("facets");
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.chip : null;
  holder.replaceChildren();
  for (const facet of FACETS) {
    if (facetValues[facet.name].length) holder.append(facetView(facet, counts[facet.name]));
  }
  if (focused) [...holder.querySelectorAll("[data-chip]")].find((chip) => chip.dataset.chip === focused)?.focus();
}

function facetView(facet, counts) {
  const group = make("div", { class: "facet", role: "group", "aria-label": facet.title }, make("span", { class: "facet-title" }, facet.title));
  const values = facetValues[facet.name];
  const isOpen = unfolded.has(facet.name) || values.length <= MOST_VALUES + 2;
  const chosen = state.facets[facet.name];
  values.forEach((value, rank) => {
    if (isOpen || rank < MOST_VALUES || chosen.has(value)) group.append(chip(facet, value, counts.get(value) || 0));
  });
  if (!isOpen) group.append(make("button", { "type": "button", "class": "chip more", "data-unfold": facet.name }, `${values.length - MOST_VALUES} more`));
  return group;
}

function chip(facet, value, number) {
  const isChosen = state.facets[facet.name].has(value);
  const sign = facet.name === "type" ? make("i", { class: "swatch", hue: colourOf(value) })
    : ["verdict", "outcome"].includes(facet.name) ? make("i", { class: `mark ${value}` }) : null;
  return make("button", {
    "type": "button", "class": `chip${number ? "" : " empty"}`, "aria-pressed": String(isChosen), "data-chip": `${facet.name}=${value}`,
    "data-facet": facet.name, "data-value": value, "title": MEANINGS[value],
  }, sign, make("span", { class: "chip-name" }, worded(value)), make("span", { class: "chip-count" }, whole(number)));
}

byId("facets").addEventListener("click", (event) => {
  const element = event.target.closest("button");
  if (!element) return;
  if (element.dataset.unfold) unfolded.add(element.dataset.unfold);
  else {
    const chosen = state.facets[element.dataset.facet];
    const { value } = element.dataset;
    if (!chosen.delete(value)) chosen.add(value);
  }
  update();
});

function showCount(listedRows, entities) {
  const all = listedRows.length === rows.length ? "" : ` of ${whole(rows.length)}`;
  byId("count").textContent = `${whole(listedRows.length)}${all} ${rows.length === 1 ? "sample" : "samples"} · ${counted(entities, "entity", "entities")}`;
  byId("clear").hidden = !isFiltering();
}

const isFiltering = () => Boolean(state.query) || FACETS.some((facet) => state.facets[facet.name].size > 0);

function openAbout() {
  const dialog = byId("about");
  dialog.replaceChildren(dialogHead("about-title", "About this run"), ...summary.runs.map(runFacts));
  if (summary.gold) dialog.append(make("h3", {}, "Scores"), make("p", {}, scoreNote()), scoreTable());
  dialog.showModal();
}

function scoreNote() {
  const gold = [summary.gold.name, summary.gold.version && `v${summary.gold.version}`, summary.gold.split].filter(Boolean).join(" ");
  return `Protocol ${summary.protocol}, gold ${gold}, ${summary.scored.map((number) => counted(number, "sample")).join(" and ")} of the whole run: what riveg eval prints.`;
}

function dialogHead(id, title) {
  return make("header", {}, make("h2", { id }, title),
    make("form", { method: "dialog" }, make("button", { "aria-label": "Close", "value": "close" }, "✕")));
}

function runFacts(run, side) {
  const terms = make("dl", { class: "about" });
  const add = (term, value) => { if (value) terms.append(make("dt", {}, term), make("dd", {}, value)); };
  add(isComparison ? `run ${SIDES[side]}` : "run", run.name);
  add("system", run.system);
  add("data", [run.data, run.version && `version ${run.version}`, run.split && `split ${run.split}`].filter(Boolean).join(", "));
  add("samples", run.samples === null ? null : `${whole(run.samples)}${run.limit ? ` (partial: --limit ${run.limit})` : ""}${run.failed ? `, ${whole(run.failed)} with an issue` : ""}`);
  add("stages", Object.entries(run.stages).map(([stage, backend]) => `${stage}: ${backend}`).join(", "));
  add("gate", run.gate === null ? null : decimal(run.gate));
  add("oracle", run.oracle.join(", ") || "none");
  add("notes", (summary.notes[side] || []).join("; "));
  add("seconds", Object.entries(run.seconds).map(([stage, seconds]) => `${stage} ${decimal(seconds, 1)}`).join(", "));
  add("packages", Object.entries(run.packages).map((pair) => pair.join(" ")).join(", "));
  add("finished", run.finished ? new Date(1000 * run.finished).toISOString().slice(0, 16).replace("T", " ") + " UTC" : null);
  return terms;
}

function scoreTable() {
  const head = ["", ...(isComparison ? ["run"] : []), "P", "R", "F1", "95 %", "hits", "predicted", "gold"];
  const body = make("tbody");
  for (const [metric, counts] of Object.entries(summary.metrics)) {
    counts.forEach((count, side) => count && body.append(make("tr", {},
      make("th", { scope: "row" }, side ? "" : named(metric)), isComparison ? make("td", {}, SIDES[side]) : null,
      ...["precision", "recall", "f1"].map((name) => make("td", {}, decimal(count[name]))),
      make("td", { class: "interval" }, interval(count.interval)),
      ...["hits", "predicted", "gold"].map((name) => make("td", {}, whole(count[name]))))));
  }
  return make("table", {}, make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))), body);
}

const SHORTCUTS = [
  ["j  ↓", "next sample"], ["k  ↑", "previous sample"], ["/", "search"], ["g", "gold on or off"],
  ["b", "boxes on or off"], ["m", "masks on or off"], ["e", "what plain vision saw: faces, lettering"],
  ["h", "heat maps that boxes were found by, where they were kept"],
  ["o", "original picture in place of the small copy"], ["Esc", "leave the search, close this"], ["?", "this help"],
];

function openHelp() {
  const dialog = byId("help");
  const terms = make("dl", { class: "about keys" });
  for (const [keys, meaning] of SHORTCUTS) {
    terms.append(make("dt", {}, ...keys.split("  ").map((key) => make("kbd", {}, key))), make("dd", {}, meaning));
  }
  const legend = make("dl", { class: "about" });
  for (const kind of [...(hasGold ? summary.verdictOrder : []), ...summary.outcomeOrder]) {
    legend.append(make("dt", {}, badge(kind)), make("dd", {}, MEANINGS[kind]));
  }
  dialog.replaceChildren(dialogHead("help-title", "Keys"), terms);
  if (legend.children.length) dialog.append(make("h3", {}, "Marks"), legend);
  dialog.showModal();
}
