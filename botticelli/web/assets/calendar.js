// A post that is dragged to another day keeps its time of day: the server has written both into the page.
let dragged = null;
const table = document.querySelector(".calendar");

table.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.("li[draggable]");
  if (dragged) event.dataTransfer.setData("text/plain", dragged.id);
});
table.addEventListener("dragend", () => {
  dragged = null;
  table.querySelector(".over")?.classList.remove("over");
});
table.addEventListener("dragover", (event) => {
  const cell = event.target.closest("td[data-day]");
  if (!dragged || !cell) return;
  event.preventDefault();
  table.querySelector(".over")?.classList.remove("over");
  cell.classList.add("over");
});
table.addEventListener("drop", (event) => {
  const cell = event.target.closest("td[data-day]");
  if (!dragged || !cell) return;
  event.preventDefault();
  const form = dragged.querySelector("form");
  form.elements.at.value = `${cell.dataset.day}T${dragged.dataset.clock}`;
  form.requestSubmit(form.querySelector('button[value="pin"]'));
});
document.getElementById(location.hash.slice(1))?.querySelector("summary")?.focus();
