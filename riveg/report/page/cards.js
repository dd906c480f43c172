// One card for each entity: what every stage said of it, and what became of it.

function cardView(row, item) {
  const card = make("section", {
    "class": "card", "data-item": item.index, "tabindex": "0", "hue": colourOf(item.label),
    "aria-label": `${item.text}, ${item.label}`,
  }, cardHead(item));
  if (choosesItems() && !itemMatches(item)) card.classList.add("unmatched");
  const body = make("div", { class: isComparison ? "card-sides" : "card-body" });
  item.sides.forEach((side, number) => body.append(sideView(row, item, side, number)));
  if (item.goldEntity) body.append(goldLine(item.goldEntity));
  card.append(body);
  return card;
}

function cardHead(item) {
  const head = make("header", {}, typeBadge(item.label, item.fine), make("h3", {}, item.text));
  if (item.outcome) head.append(badge(item.outcome));
  else if (item.sides[0] && item.sides[0].verdict) head.append(verdictView(item.sides[0]));
  return head;
}

/** The type, and the fine one where there is one. */
const typeBadge = (label, fine = null) =>
  make("span", { class: "type", hue: colourOf(label), ink: inkOf(label) }, fine === null ? label : `${label}/${fine}`);

const badge = (kind) =>
  make("span", { class: "verdict", title: MEANINGS[kind] }, make("i", { class: `mark ${kind}` }), worded(kind));

function verdictView(side) {
  const holder = make("span", { class: "verdict-line" }, badge(side.verdict));
  if (side.stage) holder.append(make("span", { class: "at-fault", title: "the first stage that went wrong" }, `at ${side.stage}`));
  return holder;
}

function sideView(row, item, side, number) {
  const holder = make("div", { class: "side-view" });
  if (isComparison) {
    holder.append(make("div", { class: "side-line" }, make("b", { class: "side" }, SIDES[number]),
      side && side.entity ? typeBadge(side.entity.label, side.entity.fine) : null,
      side && side.verdict ? verdictView(side) : null));
  }
  if (!side || !side.entity) {
    holder.append(make("p", { class: "absent" }, row.answers[number] ? "not predicted" : "the run lacks this sample"));
    return holder;
  }
  const entity = side.entity;
  if (isComparison && entity.text !== item.text) holder.append(make("p", { class: "own-words" }, entity.text));
  fill(holder, {}, [facts(entity, side, number), issuesOf(row.answers[number], entity)]);
  return holder;
}

function facts(entity, side, number) {
  const terms = make("dl");
  const add = (term, ...content) => {
    if (content.some(Boolean)) terms.append(make("dt", {}, term), make("dd", {}, ...content));
  };
  add("type", distribution(entity));
  add("fine type", barsOf(entity.fineScores, entity.label));
  add("expression", entity.expression && make("span", { class: "said" }, entity.expression),
    entity.description && make("span", { class: "described" }, entity.description),
    entity.expressionSource && make("span", { class: "source" }, entity.expressionSource));
  add("entailed", entailmentView(entity.entailment, summary.runs[number].gate));
  add("where", regionsView(entity.regions, side.iou));
  add("reviewed", reviewsView(entity.reviews));
  return terms;
}

/** The score, and the likeliest types. */
function distribution(entity) {
  const bars = barsOf(entity.labelScores);
  if (entity.score === null) return bars;
  const holder = bars || make("div", { class: "bars" });
  holder.prepend(make("span", { class: "sure", title: "how sure the tagger is of the words and the type" }, `tag score ${decimal(entity.score)}`));
  return holder;
}

/** The likeliest labels: the first always, four more where they are not nearly 0; null for none. */
function barsOf(labelScores, coloured = null) {
  const scores = Object.entries(labelScores || {}).sort((one, other) => other[1] - one[1]);
  const seen = scores.filter(([, score], rank) => rank === 0 || (score >= 0.005 && rank < 5));
  if (!seen.length) return null;
  return make("div", { class: "bars" }, ...seen.map(([label, score]) => bar(label, score, coloured || label)));
}

function bar(label, score, coloured) {
  const fill = make("i", { hue: colourOf(coloured) });
  fill.style.width = `${100 * Math.min(1, Math.max(0, score))}%`;
  return make("span", { class: "bar" }, make("span", { class: "bar-name" }, label),
    make("span", { class: "track" }, fill), make("span", { class: "number" }, decimal(score)));
}

function entailmentView(entailment, gate) {
  if (!entailment) return null;
  const words = entailment.groundable ? "shown" : "not shown";
  const holder = make("div", { class: "meter-line" });
  if (entailment.probability !== null) holder.append(meter(entailment.probability, gate));
  holder.append(make("span", { class: entailment.groundable ? "yes" : "no" }, words),
    make("span", { class: "source" }, entailment.source || ""));
  return holder;
}

function meter(probability, gate) {
  const fill = make("i");
  fill.style.width = `${100 * probability}%`;
  const track = make("span", { class: "track meter" }, fill);
  if (gate !== null) {
    const tick = make("b", { title: `the gate: ${decimal(gate)}` });
    tick.style.left = `${100 * gate}%`;
    track.append(tick);
  }
  const words = gate === null ? decimal(probability) : `${decimal(probability)} of ${decimal(gate)}`;
  return make("span", { class: "bar", title: "probability that the picture shows it, and the gate" },
    track, make("span", { class: "number" }, words));
}

function regionsView(regions, iou) {
  if (regions === null) return make("span", { class: "no" }, "not answered");
  if (!regions.length) return make("span", { class: "no" }, "nowhere in the picture");
  const lines = make("ul");
  regions.forEach((region, rank) => lines.append(regionLine(region, rank === 0 ? iou : null)));
  return lines;
}

/** The second looks: what was asked because it was uncertain, and what was changed from what. */
function reviewsView(reviews) {
  if (reviews === null) return null;
  if (!reviews.length) return make("span", { class: "no" }, "nothing was uncertain enough");
  const lines = make("ul");
  for (const review of reviews) {
    const line = make("li", {}, `${review.kind} ${worded(review.outcome)} · uncertainty ${decimal(review.uncertainty)}`);
    if (review.change) {
      const [before, after] = review.change;
      line.append(" · ", make("span", { class: "before", title: "before the review" }, before),
        make("span", { class: "after", title: "after the review" }, ` → ${after}`));
    }
    lines.append(line);
  }
  return lines;
}

function regionLine(region, iou) {
  const [left, top, right, bottom] = region.box;
  const words = [
    region.guess ? "a guess" : null,
    region.source, region.score === null ? null : `box score ${decimal(region.score)}`,
    `${Math.round(right - left)} × ${Math.round(bottom - top)} at ${Math.round(left)}, ${Math.round(top)}`,
    region.mask ? `mask ${region.maskSource || ""}`.trim() : null,
  ];
  const line = make("li", {}, words.filter(Boolean).join(" · "));
  if (iou !== null && iou !== undefined) line.append(make("span", { class: "iou", title: "overlap with the nearest gold box" }, `IoU ${decimal(iou)}`));
  return line;
}

function goldLine(gold) {
  const boxes = gold.boxes;
  const where = boxes === null ? "no boxes in this gold"
    : boxes.length ? counted(boxes.length, "box", "boxes") : "not in the picture";
  return make("p", { class: "gold-line" }, make("span", { class: "gold-name" }, "gold"), typeBadge(gold.label, gold.fine),
    make("span", { class: "gold-words", hue: colourOf(gold.label) }, gold.text),
    make("span", { class: "source" }, where));
}

function issuesOf(answer, entity) {
  const own = answer.issues.filter((issue) => issue.entity === (entity ? entity.id : null));
  if (!own.length) return null;
  const holder = make("ul", { class: "issues" });
  for (const issue of own) {
    holder.append(make("li", {}, make("b", {}, `${issue.stage}: ${issue.kind}`), ` ${issue.message}`));
  }
  return holder;
}
