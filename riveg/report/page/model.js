// What the page shows: the records and the summary that were written into it.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const parsed = (element) => JSON.parse(element.textContent);

const summary = parsed(byId("summary"));
const rows = [...document.querySelectorAll("script.rows")].flatMap((element) => parsed(element));
const isComparison = summary.runs.length > 1;
const hasGold = summary.gold !== null;
const SIDES = ["A", "B"];

const WORDS = {
  "right": "right", "wrong-type": "wrong type", "wrong-fine-type": "wrong fine type", "wrongly-grounded": "wrongly grounded",
  "wrongly-ungrounded": "wrongly ungrounded", "box-off": "box off", "wrong-span": "wrong span",
  "spurious": "spurious", "missed": "missed", "unanswered": "unanswered",
  "fixed": "fixed", "broken": "broken", "still-wrong": "still wrong", "both-right": "both right",
  "same": "same", "changed": "changed", "only-a": "only in A", "only-b": "only in B",
};

const MEANINGS = {
  "right": "words, type and place are right",
  "wrong-type": "the words are right, the type is not",
  "wrong-fine-type": "words, type and place are right, the fine type is not",
  "wrongly-grounded": "a box was given, and the picture does not show it",
  "wrongly-ungrounded": "no box was given, and the picture shows it",
  "box-off": "words and type are right, the box is elsewhere",
  "wrong-span": "overlaps a gold entity, with other words",
  "spurious": "no gold entity is near",
  "missed": "a gold entity that nothing was predicted for",
  "unanswered": "no stage has answered",
  "fixed": "wrong in A, right in B", "broken": "right in A, wrong in B",
  "still-wrong": "wrong in both runs", "both-right": "right in both runs",
  "same": "both runs say the same", "changed": "type or place differ",
  "only-a": "only run A has it", "only-b": "only run B has it",
};

const worded = (kind) => WORDS[kind] || kind;
const colourOf = (label) => (summary.colours[label] || ["#708090", "#ffffff"])[0];
const inkOf = (label) => (summary.colours[label] || ["#708090", "#ffffff"])[1];

/** An element; text goes in as text, never as markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  fill(element, attributes, children);
  return element;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "hue") element.style.setProperty("--hue", value);
    else if (name === "ink") element.style.setProperty("--hue-ink", value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
}

const decimal = (number, digits = 2) =>
  number === null || number === undefined ? "–" : number.toFixed(digits);
const whole = (number) => number.toLocaleString("en").replaceAll(",", "\u2009");
const counted = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;

/** What an item says of one run: the predicted entity, the verdict, the stage at fault. */
function sideOf(row, item, side) {
  const verdict = item.answers[side];
  if (!verdict) return null;
  const answer = row.answers[side];
  const entity = verdict.entity === null || !answer ? null : answer.entities[verdict.entity];
  return { ...verdict, entity };
}

const distinct = (values) => [...new Set(values.filter((value) => value !== null && value !== undefined))];

rows.forEach((row, order) => {
  row.order = order;
  const answers = row.answers.filter(Boolean);
  row.issueKinds = distinct(answers.flatMap((answer) => answer.issues.map((issue) => issue.kind)));
  row.items.forEach((item, index) => {
    item.index = index;
    item.goldEntity = item.gold === null || !row.gold ? null : row.gold[item.gold];
    item.sides = item.answers.map((_, side) => sideOf(row, item, side));
    const sides = item.sides.filter(Boolean);
    const entities = sides.map((side) => side.entity).filter(Boolean);
    item.label = (entities[0] || item.goldEntity || { label: "?" }).label;
    item.text = (entities[0] || item.goldEntity || { text: "" }).text;
    item.fine = entities.length ? entities[0].fine : null;
    item.facets = {
      fine: distinct([...entities.map((entity) => entity.fine), item.goldEntity && item.goldEntity.fine]),
      type: distinct([...entities.map((entity) => entity.label), item.goldEntity && item.goldEntity.label]),
      verdict: distinct(sides.map((side) => side.verdict)),
      stage: distinct(sides.map((side) => side.stage)),
      outcome: distinct([item.outcome]),
      review: distinct(entities.flatMap((entity) => (entity.reviews || []).map((one) => `${one.kind} ${one.outcome}`))),
    };
  });
  row.haystack = haystack(row, answers.flatMap((answer) => answer.entities || [])).toLowerCase();
});

function least(numbers) {
  const known = numbers.filter((number) => typeof number === "number");
  return known.length ? Math.min(...known) : Infinity;
}

const entitiesOf = (item) => item.sides.map((side) => side && side.entity);
const scoresOf = (item) => entitiesOf(item).map((entity) => entity && entity.score);

/** How far from the gate each run's entailment is. */
const marginsOf = (item) => entitiesOf(item).map((entity, side) => {
  const { gate } = summary.runs[side];
  const probability = entity && entity.entailment ? entity.entailment.probability : null;
  return gate === null || probability === null ? null : Math.abs(probability - gate);
});

function haystack(row, entities) {
  const said = entities.flatMap((entity) => [entity.text, entity.label, entity.fine, entity.expression, entity.description]);
  const gold = (row.gold || []).flatMap((entity) => [entity.text, entity.label, entity.fine]);
  const captions = row.answers.filter(Boolean).map((answer) => answer.caption);
  return [row.id, row.text, row.path, ...said, ...gold, ...captions].filter(Boolean).join("\n");
}

/** The small picture of a row, or what is wrong with it; null while the page is still being read. */
const pictures = new Map();
function pictureOf(row) {
  if (!pictures.has(row.order)) {
    const element = byId(`picture-${row.order}`);
    // The element of a picture that is still being read has only the beginning of its text.
    if (!element || (document.readyState === "loading" && !element.nextElementSibling)) return null;
    pictures.set(row.order, parsed(element));
    element.textContent = "";
  }
  return pictures.get(row.order);
}
