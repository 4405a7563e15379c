// What is wrong with how the page looks, as lines of text: what makes it wider than its window, and text that can hardly be read on what lies below it.
const wrong = [];
const named = (element) => {
  const text = (element.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 40);
  return `<${element.tagName.toLowerCase()} class="${element.getAttribute('class') || ''}"> ${text}`;
};

// Wider than the window: the page would scroll sideways.
const root = document.scrollingElement;
if (root.scrollWidth > window.innerWidth) {
  const outside = [...document.body.querySelectorAll('*')].filter((element) => {
    if (element.getBoundingClientRect().right <= window.innerWidth + 0.5) return false;
    for (let up = element; up !== document.body; up = up.parentElement) {
      if (up !== element && getComputedStyle(up).overflowX !== 'visible') return false;
    }
    return true;
  });
  wrong.push(`${root.scrollWidth} px wide in a window of ${window.innerWidth}: ${outside.slice(0, 3).map(named).join(' | ')}`);
}

// Cut off: what is drawn leaves its picture, a fault's label its timeline.
for (const text of document.querySelectorAll('svg.sequence text')) {
  const picture = text.ownerSVGElement.viewBox.baseVal;
  const box = text.getBBox();
  if (box.x < picture.x || box.x + box.width > picture.x + picture.width) {
    wrong.push(`from ${box.x} to ${box.x + box.width} in a picture ${picture.width} wide: ${named(text)}`);
  }
}
for (const label of document.querySelectorAll('.axis.faults span')) {
  const [box, plot] = [label.getBoundingClientRect(), label.closest('.axis').getBoundingClientRect()];
  if (box.left < plot.left - 0.5 || box.right > plot.right + 0.5) {
    wrong.push(`from ${box.left} to ${box.right} in a plot from ${plot.left} to ${plot.right}: ${named(label)}`);
  }
}

// Colours as the page computes them: rgb(r, g, b), rgba(r, g, b, a), color(srgb r g b / a).
const color = (text) => {
  const numbers = (text.match(/[\d.]+(?:e-?\d+)?/g) || []).map(Number);
  if (numbers.length < 3) return null;
  const scale = text.startsWith('color(') ? 255 : 1;
  return { rgb: numbers.slice(0, 3).map((value) => value * scale), alpha: numbers.length > 3 ? numbers[3] : 1 };
};
const over = (top, below) => top.rgb.map((value, place) => value * top.alpha + below[place] * (1 - top.alpha));
const paper = getComputedStyle(document.documentElement).colorScheme.includes('dark') &&
  matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
const below = (element) => {
  const layers = [];
  for (let up = element; up; up = up.parentElement) {
    if (up.tagName.toLowerCase() === 'svg') {
      // A chart's first rectangle that covers it is its paper.
      const rect = up.querySelector('rect');
      const fill = rect && rect.getBoundingClientRect().width >= up.getBoundingClientRect().width * 0.95 && color(getComputedStyle(rect).fill);
      if (fill) layers.push(fill);
    }
    const background = color(getComputedStyle(up).backgroundColor);
    if (background && background.alpha > 0) layers.push(background);
  }
  return layers.reverse().reduce((sum, layer) => over(layer, sum), paper);
};
const light = (rgb) => {
  const [r, g, b] = rgb.map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, two) => {
  const [bright, dim] = [light(one), light(two)].sort((a, b) => b - a);
  return (bright + 0.05) / (dim + 0.05);
};

// WCAG 2.1, 1.4.3: 4.5 to 1, and 3 to 1 for large text.
let looked = 0;
const faint = new Map();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
  const style = getComputedStyle(element);
  const ink = color(element instanceof SVGElement ? style.fill : style.color);
  if (!ink) continue;
  looked += 1;
  const ground = below(element);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = contrast(over(ink, ground), ground);
  if (ratio < (large ? 3 : 4.5)) {
    const colors = `${ratio.toFixed(2)}: ${style.color} on rgb(${ground.map(Math.round)})`;
    if (!faint.has(colors)) faint.set(colors, named(element));
  }
}
faint.forEach((where, colors) => wrong.push(`contrast ${colors} at ${where}`));
if (looked === 0) wrong.push('no text can be seen');

return wrong;
