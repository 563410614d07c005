"use strict";
// Draws every <canvas data-voxels> as cubes, seen as by the dataset's camera at an azimuth and an
// elevation in degrees, and turns it by dragging; those in one [data-together] turn together.

const COLOUR = [126, 172, 222];
const LIGHT = [0.597, 0.795, 0.0994];
const AXES = [0, 1, 2];

function unpack(canvas) {
  const size = Number(canvas.dataset.size);
  const bytes = atob(canvas.dataset.voxels);
  const inside = (i) => i >= 0 && i < size;
  const occupied = (x, y, z) => {
    if (!inside(x) || !inside(y) || !inside(z)) return false;
    const bit = (x * size + y) * size + z;
    return Boolean((bytes.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1);
  };
  return { size, occupied };
}

function draw(canvas, { size, occupied }, azimuth, elevation) {
  const a = (azimuth * Math.PI) / 180, e = (elevation * Math.PI) / 180;
  const backward = [Math.cos(e) * Math.cos(a), Math.sin(e), Math.cos(e) * Math.sin(a)];
  const right = [Math.sin(a), 0, -Math.cos(a)];
  const up = [
    backward[1] * right[2],
    backward[2] * right[0] - backward[0] * right[2],
    -backward[1] * right[0],
  ];
  const scale = canvas.width / (1.55 * size);
  const column = right.map((value) => scale * value);
  const row = up.map((value) => -scale * value);
  const side = backward.map((value) => (value > 0 ? 1 : -1)); // of a cell that can be seen

  const faces = AXES.filter((axis) => Math.abs(backward[axis]) > 1e-9).map((axis) => {
    const [u, v] = AXES.filter((other) => other !== axis);
    const start = side[axis] > 0 ? 1 : 0;
    const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([p, q]) => [
      start * column[axis] + p * column[u] + q * column[v],
      start * row[axis] + p * row[u] + q * row[v],
    ]);
    const shade = 0.4 + 0.6 * Math.max(0, side[axis] * LIGHT[axis]) ** 1.5;
    const colour = (factor) => `rgb(${COLOUR.map((c) => Math.floor(factor * shade * c)).join()})`;
    const step = AXES.map((other) => (other === axis ? side[axis] : 0));
    return { corners, step, fill: colour(1), edge: colour(0.75) };
  });

  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineJoin = "round";
  context.lineWidth = canvas.width / 400;
  // Along every axis the farthest cells come first: what is near is painted over what is far.
  const order = side.map((sign) =>
    Array.from({ length: size }, (_, i) => (sign > 0 ? i : size - 1 - i)));
  const middle = canvas.width / 2;
  for (const x of order[0]) for (const y of order[1]) for (const z of order[2]) {
    if (!occupied(x, y, z)) continue;
    const cell = [x, y, z].map((value) => value - size / 2);
    const left = middle + AXES.reduce((sum, axis) => sum + cell[axis] * column[axis], 0);
    const top = middle + AXES.reduce((sum, axis) => sum + cell[axis] * row[axis], 0);
    for (const { corners, step, fill, edge } of faces) {
      if (occupied(x + step[0], y + step[1], z + step[2])) continue;
      context.beginPath();
      for (const [dx, dy] of corners) context.lineTo(left + dx, top + dy);
      context.closePath();
      context.fillStyle = fill;
      context.strokeStyle = edge;
      context.fill();
      context.stroke();
    }
  }
}

function show(canvases) {
  const shown = canvases.map((canvas) => ({ canvas, grid: unpack(canvas) }));
  let azimuth = 30, elevation = 25;
  const redraw = () => shown.forEach(({ canvas, grid }) => draw(canvas, grid, azimuth, elevation));
  for (const { canvas } of shown) {
    canvas.width = canvas.height = canvas.clientWidth * (window.devicePixelRatio || 1);
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      azimuth += event.movementX / 2;
      elevation = Math.min(90, Math.max(-90, elevation + event.movementY / 2));
      redraw();
    });
  }
  redraw();
}

for (const group of document.querySelectorAll("[data-together]")) {
  show([...group.querySelectorAll("canvas[data-voxels]")]);
}
