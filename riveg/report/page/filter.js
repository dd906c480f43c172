// Which samples are listed, in which order, and how many each filter would leave.

const wordsOf = (query) => query.toLowerCase().split(/\s+/).filter(Boolean);

const passes = (facet, values) => {
  const chosen = state.facets[facet.name];
  return chosen.size === 0 || values.some((value) => chosen.has(value));
};

const itemFacets = FACETS.filter((facet) => facet.of === "item");
const rowFacets = FACETS.filter((facet) => facet.of === "row");
const choosesItems = () => itemFacets.some((facet) => state.facets[facet.name].size > 0);

const itemMatches = (item, except = null) =>
  itemFacets.every((facet) => facet === except || passes(facet, item.facets[facet.name]));

const rowMatches = (row, except = null) =>
  rowFacets.every((facet) => facet === except || passes(facet, row.issueKinds));

/** The listed rows, the number of matching entities, and counts by facet and value. */
function filtered() {
  const words = wordsOf(state.query);
  const listed = [];
  const counts = Object.fromEntries(FACETS.map((facet) => [facet.name, new Map()]));
  let entities = 0;
  for (const row of rows) {
    if (!words.every((word) => row.haystack.includes(word))) continue;
    const matching = row.items.filter((item) => itemMatches(item));
    const hasItems = matching.length > 0 || !choosesItems();
    if (rowMatches(row) && hasItems) {
      listed.push(row);
      entities += matching.length;
    }
    countRow(counts, row, hasItems);
  }
  return { listed: sorted(listed), entities, counts };
}

function countRow(counts, row, hasItems) {
  const add = (facet, value) => counts[facet.name].set(value, (counts[facet.name].get(value) || 0) + 1);
  for (const facet of rowFacets) {
    if (hasItems && rowMatches(row, facet)) row.issueKinds.forEach((value) => add(facet, value));
  }
  if (!rowMatches(row)) return;
  for (const item of row.items) {
    for (const facet of itemFacets) {
      if (itemMatches(item, facet)) item.facets[facet.name].forEach((value) => add(facet, value));
    }
  }
}

// Of the entities that the filters have left: sorting is a question about those.
const KEYS = {
  score: (items) => least(items.flatMap(scoresOf)),
  sure: (items) => least(items.flatMap(scoresOf).map((score) => (typeof score === "number" ? -score : null))),
  margin: (items) => least(items.flatMap(marginsOf)),
};

function sorted(listed) {
  const key = KEYS[state.sort];
  if (!key) return listed;
  const keys = new Map(listed.map((row) => [row, key(row.items.filter((item) => itemMatches(item)))]));
  const compared = (one, other) => (one === other ? 0 : one < other ? -1 : 1);
  return listed.sort((one, other) => compared(keys.get(one), keys.get(other)) || one.order - other.order);
}

/** Every value that occurs, in an order that does not move while one filters. */
const facetValues = Object.fromEntries(FACETS.map((facet) => [facet.name, valuesOf(facet)]));

function valuesOf(facet) {
  const numbers = new Map();
  for (const row of rows) {
    const values = facet.of === "row" ? row.issueKinds : row.items.flatMap((item) => item.facets[facet.name]);
    for (const value of values) numbers.set(value, (numbers.get(value) || 0) + 1);
  }
  const known = { verdict: summary.verdictOrder, outcome: summary.outcomeOrder, stage: stageOrder() }[facet.name];
  if (known) return known.filter((value) => numbers.has(value));
  return [...numbers.keys()].sort((one, other) => numbers.get(other) - numbers.get(one));
}

function stageOrder() {
  return distinct(summary.runs.flatMap((run) => Object.keys(run.stages)).concat("tag", "entail", "ground", "extract"));
}
