// What is chosen: kept in the address after the hash, so that a reload or a sent link comes back.

const FACETS = [
  { name: "outcome", title: "A to B", of: "item" },
  { name: "verdict", title: "Verdict", of: "item" },
  { name: "type", title: "Type", of: "item" },
  { name: "fine", title: "Fine type", of: "item" },
  { name: "stage", title: "At fault", of: "item" },
  { name: "review", title: "Reviewed", of: "item" },
  { name: "issue", title: "Issue", of: "row" },
];

const SORTS = {
  order: "as in the run",
  score: "lowest score first",
  sure: "highest score first",
  margin: "nearest to the gate first",
};

const LAYERS = { gold: true, boxes: true, masks: true, evidence: false, heat: false, original: false };

function nothingChosen() {
  return {
    sample: null, query: "", sort: "order", layers: { ...LAYERS },
    facets: Object.fromEntries(FACETS.map((facet) => [facet.name, new Set()])),
  };
}

let state = nothingChosen();

function stateToHash() {
  const values = new URLSearchParams();
  if (state.sample !== null) values.set("id", state.sample);
  if (state.query) values.set("q", state.query);
  if (state.sort !== "order") values.set("sort", state.sort);
  for (const { name } of FACETS) for (const value of state.facets[name]) values.append(name, value);
  for (const [name, usual] of Object.entries(LAYERS)) {
    if (state.layers[name] !== usual) values.set(name, state.layers[name] ? "1" : "0");
  }
  return values.toString();
}

function stateFromHash() {
  const values = new URLSearchParams(location.hash.slice(1));
  const found = nothingChosen();
  found.sample = values.get("id");
  found.query = values.get("q") || "";
  if (Object.hasOwn(SORTS, values.get("sort") || "")) found.sort = values.get("sort");
  for (const { name } of FACETS) found.facets[name] = new Set(values.getAll(name));
  for (const name of Object.keys(LAYERS)) if (values.has(name)) found.layers[name] = values.get(name) === "1";
  return found;
}

/** Writes the state after the hash; a step that Back undoes only where it is asked for. */
function keepState({ isStep = false } = {}) {
  const hash = `#${stateToHash()}`;
  if (hash === (location.hash || "#")) return;
  history[isStep ? "pushState" : "replaceState"](null, "", hash);
}
