// The post's text: predicted entities on a tint of their type's colour, gold ones underlined.

const LONG_TEXT = 1000;

function textView(row) {
  const holder = make("p", { class: row.text.length > LONG_TEXT ? "post long" : "post", lang: "" });
  const marks = wordMarks(row);
  const cuts = distinct([0, row.text.length, ...marks.flatMap((mark) => mark.place)]).sort((one, other) => one - other);
  for (let index = 0; index + 1 < cuts.length; index += 1) {
    const [start, end] = [cuts[index], cuts[index + 1]];
    const over = marks.filter((mark) => mark.place[0] <= start && mark.place[1] >= end);
    holder.append(wordPiece(row.text.slice(start, end), over, end));
  }
  return holder;
}

function wordMarks(row) {
  const marks = [];
  for (const item of row.items) {
    item.sides.forEach((side, number) => {
      if (side && side.entity && side.entity.place) marks.push({ item, place: side.entity.place, label: side.entity.label, fine: side.entity.fine, side: number });
    });
    const gold = item.goldEntity;
    if (gold && gold.place && state.layers.gold) marks.push({ item, place: gold.place, label: gold.label, fine: gold.fine, isGold: true });
  }
  return marks;
}

function wordPiece(text, over, end) {
  if (!over.length) return document.createTextNode(text);
  const predicted = over.filter((mark) => !mark.isGold);
  const gold = over.find((mark) => mark.isGold);
  let inner = document.createTextNode(text);
  if (gold) inner = make("span", { class: "gold-words", hue: colourOf(gold.label) }, inner);
  const lead = predicted[0] || gold;
  const element = make("span", {
    "class": `words${predicted.length ? " predicted" : ""}`, "data-item": lead.item.index,
    "hue": colourOf(lead.label), "title": over.map(wordTitle).join("\n"),
  }, inner);
  const ends = predicted.filter((mark) => mark.place[1] === end);
  for (const label of distinct(ends.map((mark) => mark.label))) {
    element.append(make("small", { hue: colourOf(label), ink: inkOf(label) }, label));
  }
  return element;
}

function wordTitle(mark) {
  const whose = mark.isGold ? "gold" : isComparison ? summary.runs[mark.side].name : "predicted";
  return `${mark.label}${mark.fine === null ? "" : `/${mark.fine}`} (${whose})`;
}
