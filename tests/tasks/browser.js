"use strict";
// As much of a browser as the coverage page's script needs: a tree of elements, selectors by tag, id, class and
// attribute, the focus, and events that a test sends.
class Element {
  constructor(tag) {
    Object.assign(this, { tagName: tag.toUpperCase(), attributes: {}, childNodes: [], parentElement: null, tabIndex: 0 });
    this.listeners = {};
  }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  getAttribute(name) { return name in this.attributes ? this.attributes[name] : null; }
  removeAttribute(name) { delete this.attributes[name]; }
  append(...children) {
    for (const child of children) {
      if (child instanceof Element) child.parentElement = this;
      this.childNodes.push(child instanceof Element ? child : String(child));
    }
  }
  replaceChildren(...children) { this.childNodes = []; this.append(...children); }
  remove() { this.parentElement.childNodes = this.parentElement.childNodes.filter((child) => child !== this); }
  get children() { return this.childNodes.filter((child) => child instanceof Element); }
  get textContent() { return this.childNodes.map((c) => (c instanceof Element ? c.textContent : c)).join(""); }
  get all() { return this.children.flatMap((child) => [child, ...child.all]); }
  get rows() { return this.all.filter((element) => element.tagName === "TR"); }
  get cells() { return this.children; }
  get rowIndex() { return this.closest("table").rows.indexOf(this); }
  get cellIndex() { return this.parentElement.cells.indexOf(this); }
  closest(selector) { return this.matches(selector) ? this : this.parentElement && this.parentElement.closest(selector); }
  matches(selector) {
    const [, tag, id, name, attribute] = /^(\w*)(?:#(\w+))?(?:\.(\w+))?(?:\[([\w-]+)\])?$/.exec(selector);
    return (!tag || this.tagName === tag.toUpperCase()) && (!id || this.attributes.id === id)
      && (!name || (this.attributes.class || "").split(" ").includes(name)) && (!attribute || attribute in this.attributes);
  }
  querySelectorAll(selector) {
    const [last, ...outer] = selector.split(" ").reverse();
    return this.all.filter((element) => element.matches(last)
      && outer.every((one) => element.parentElement.closest(one)));
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] || null; }
  addEventListener(name, listener) { this.listeners[name] = listener; }
  focus() { document.activeElement = this; send(document, "focusin", { target: this }); }
  scrollIntoView() {}
}

const document = new Element("html");
document.createElement = (tag) => new Element(tag);
document.getElementById = (id) => document.querySelector(`#${id}`);
const location = { hash: "" }, page = new Element("window");
class ResizeObserver { observe() {} } // nothing has a size here
const addEventListener = (name, listener) => page.addEventListener(name, listener);
const send = (to, name, event = {}) => to.listeners[name] && to.listeners[name]({ preventDefault() {}, ...event });
Number.prototype.toLocaleString = function () { return String(this).replace(/\B(?=(\d{3})+$)/g, ","); };

// What a test does and sees.
const grow = ([tag, attributes, children]) => {
  const element = new Element(tag);
  element.attributes = attributes;
  element.append(...children.map((child) => (typeof child === "string" ? child : grow(child))));
  return element;
};
const load = (tree) => document.append(grow(JSON.parse(tree)));
const go = (hash) => { location.hash = hash; send(page, "hashchange"); };
const press = (key) => send(document, "keydown", { key, target: document.activeElement });
const click = (selector) => send(document.querySelector(selector), "click");
const texts = (selector) => JSON.stringify(document.querySelectorAll(selector).map((element) => element.textContent));
const links = (selector) => JSON.stringify(document.querySelectorAll(selector).map((link) => (
  [link.getAttribute("href"), link.textContent, link.getAttribute("title"), link.parentElement.getAttribute("class")])));
const focused = () => document.activeElement.getAttribute("href");
