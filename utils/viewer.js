"use strict";
// Draws every <canvas data-voxels> as utils/draw.py draws voxels. Dragging and the arrow keys
// rotate those of a [data-together] together, its button resets them.

const COLOR = [140, 188, 240];
const LIGHT = [-0.54, 0.72, 0.44]; // from the left of the camera, above and behind it
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

// How much of the 5 x 5 x 3 voxels in front of a face is occupied.
function occlusion(occupied, front, axis, sign) {
  const [u, v] = AXES.filter((other) => other !== axis);
  let count = 0;
  for (const p of [-2, -1, 0, 1, 2]) for (const q of [-2, -1, 0, 1, 2]) for (const depth of AXES) {
    const place = [...front];
    place[u] += p; place[v] += q; place[axis] += sign * depth;
    count += occupied(...place);
  }
  return count / 75;
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
  const side = backward.map((value) => (value > 0 ? 1 : -1)); // of a voxel that can be seen

  const faces = AXES.filter((axis) => Math.abs(backward[axis]) > 1e-9).map((axis) => {
    const [u, v] = AXES.filter((other) => other !== axis);
    const start = side[axis] > 0 ? 1 : 0;
    const corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([p, q]) => [
      start * column[axis] + p * column[u] + q * column[v],
      start * row[axis] + p * row[u] + q * row[v],
    ]);
    const light = LIGHT[0] * right[axis] + LIGHT[1] * up[axis] + LIGHT[2] * backward[axis];
    const shade = 0.5 + 0.57 * Math.max(0, side[axis] * light);
    const step = AXES.map((other) => (other === axis ? side[axis] : 0));
    return { axis, corners, step, shade };
  });
  const rgb = (shade) => `rgb(${COLOR.map((c) => Math.floor(shade * c)).join()})`;

  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.lineJoin = "round";
  context.lineWidth = canvas.width / 400;
  // Along every axis the farthest voxels come first: what is near is painted over what is far.
  const order = side.map((sign) =>
    Array.from({ length: size }, (_, i) => (sign > 0 ? i : size - 1 - i)));
  const middle = canvas.width / 2;
  for (const x of order[0]) for (const y of order[1]) for (const z of order[2]) {
    if (!occupied(x, y, z)) continue;
    const voxel = [x, y, z].map((value) => value - size / 2);
    const left = middle + AXES.reduce((sum, axis) => sum + voxel[axis] * column[axis], 0);
    const top = middle + AXES.reduce((sum, axis) => sum + voxel[axis] * row[axis], 0);
    for (const { axis, corners, step, shade } of faces) {
      const front = [x + step[0], y + step[1], z + step[2]];
      if (occupied(...front)) continue;
      const lit = shade * (1 - 0.9 * occlusion(occupied, front, axis, side[axis]));
      context.beginPath();
      for (const [dx, dy] of corners) context.lineTo(left + dx, top + dy);
      context.closePath();
      context.fillStyle = rgb(lit);
      context.strokeStyle = rgb(0.85 * lit);
      context.fill();
      context.stroke();
    }
  }
}

function show(group) {
  const shown = [...group.querySelectorAll("canvas[data-voxels]")]
    .map((canvas) => ({ canvas, grid: unpack(canvas) }));
  let azimuth, elevation;
  const rotate = (newAzimuth, newElevation) => {
    azimuth = newAzimuth;
    elevation = Math.min(90, Math.max(-90, newElevation));
    shown.forEach(({ canvas, grid }) => draw(canvas, grid, azimuth, elevation));
  };
  const reset = () => rotate(30, 25);
  const arrows = { ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, -5], ArrowDown: [0, 5] };
  for (const { canvas } of shown) {
    canvas.width = canvas.height = canvas.clientWidth * (window.devicePixelRatio || 1);
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      rotate(azimuth + event.movementX / 2, elevation + event.movementY / 2);
    });
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in arrows)) return;
      event.preventDefault(); // the page would scroll
      const [right, down] = arrows[event.key];
      rotate(azimuth + right, elevation + down);
    });
  }
  group.querySelector("button").addEventListener("click", reset);
  reset();
}

document.querySelectorAll("[data-together]").forEach(show);
