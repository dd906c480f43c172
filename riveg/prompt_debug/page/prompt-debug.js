"use strict";
(() => {
  const cards = [...document.querySelectorAll("[data-card]")];
  const chips = [...document.querySelectorAll("[data-filter]")];
  const search = document.getElementById("search");
  const words = new Map(cards.map((card) => {
    const post = card.closest("article").querySelector(".seen-post");
    return [card, `${post.textContent} ${card.textContent}`.toLowerCase()];
  }));

  function isShown(card) {
    const pressed = chips.filter((chip) => chip.getAttribute("aria-pressed") === "true");
    const fits = (chip) => card.dataset[chip.dataset.filter].split(" ").includes(chip.dataset.value);
    return (!pressed.length || pressed.some(fits)) &&
      words.get(card).includes(search.value.trim().toLowerCase());
  }

  function apply() {
    for (const card of cards) card.hidden = !isShown(card);
    const narrowed = cards.some((card) => card.hidden);
    for (const article of document.querySelectorAll("article.asked")) {
      const shown = article.querySelector("[data-card]:not([hidden])");
      article.hidden = narrowed && !shown;
    }
    const left = cards.filter((card) => !card.hidden).length;
    document.getElementById("count").textContent =
      narrowed ? `${left} of ${cards.length}` : `${cards.length} shown`;
  }

  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
  search.addEventListener("input", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    }
  });
  apply();
  document.documentElement.dataset.ready = "whole";
})();
