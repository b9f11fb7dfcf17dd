// Graphviz' compiled program as Rain ships it: only what the page uses, packed as small as its decoder allows.

import { readFileSync } from "node:fs";
import { Zstd } from "@hpcc-js/wasm-zstd";

// -- the text in which it lies in its package: basE91 (https://base91.sourceforge.net) -------------

const BASE91 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,./:;<=>?@[]^_`{|}~"';
const PROGRAM = /(\w+)='([A-Za-z0-9!#$%&()*+,./:;<=>?@[\]^_`{|}~"]{100000,})'/g;

function fromBase91(text) {
  const bytes = [];
  let [held, count, first] = [0, 0, -1];
  for (const char of text) {
    const value = BASE91.indexOf(char);
    if (first < 0) {
      first = value;
      continue;
    }
    const pair = first + 91 * value;
    held |= pair << count;
    count += (pair & 8191) > 88 ? 13 : 14;
    for (; count > 7; count -= 8, held >>>= 8) bytes.push(held & 255);
    first = -1;
  }
  if (first >= 0) bytes.push((held | (first << count)) & 255);
  return Uint8Array.from(bytes);
}

// -- a WebAssembly binary (https://webassembly.github.io/spec/core/binary) -------------------------

const SECTION = { imports: 2, exports: 7, start: 8, elements: 9, code: 10, data: 11 };
const FUNCTION = 0; // the kind of an import or export
const NAMES_A_FUNCTION = new Set([0x10, 0x12, 0xd2]); // call, return_call, ref.func

// Of the instructions that are followed by numbers alone, how many; all others have none, or are read in `called`.
const NUMBERS = new Map([
  ...[0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x18].map((code) => [code, 1]), // blocks and exceptions
  ...[0x0c, 0x0d, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26].map((code) => [code, 1]), // branches and variables
  ...[0x3f, 0x40, 0x41, 0x42, 0xd0].map((code) => [code, 1]), // memory.size and .grow, whole constants, ref.null
  ...[0x11, 0x13].map((code) => [code, 2]), // indirect calls
  ...Array.from({ length: 0x3e - 0x28 + 1 }, (_, i) => [0x28 + i, 2]), // loads and stores
]);
const NOTHING = new Set([0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x19, 0x1a, 0x1b, 0xd1]);
for (let code = 0x45; code <= 0xc4; code++) NOTHING.add(code); // comparisons, arithmetic, conversions
const NUMBERS_AFTER_FC = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];

class Reader {
  constructor(bytes, at, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** A number in LEB128, of which the lower 32 bits are told. */
  number() {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = this.byte();
      if (shift < 32) value |= (byte & 127) << shift;
      shift += 7;
    } while (byte & 128);
    return value >>> 0;
  }

  skip(numbers) {
    for (; numbers > 0; numbers--) this.number();
  }

  taken(count) {
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** What `read` makes of each item of a vector. */
  vector(read) {
    return Array.from({ length: this.number() }, read);
  }

  /** Where a segment begins, which must be `i32.const N`, N positive, and `end`. */
  offset() {
    const [kind, code, value, end] = [this.number(), this.byte(), this.number(), this.byte()];
    if (kind !== 0 || code !== 0x41 || end !== 0x0b) throw new Error("a segment is of a kind that is not known here");
    return value;
  }
}

function* sections(program) {
  const reader = new Reader(program, 8); // after magic and version
  while (reader.at < program.length) {
    const kind = reader.byte();
    const length = reader.number();
    yield { kind, reader: new Reader(program, reader.at, reader.at + length) };
    reader.at += length;
  }
}

/** The functions that the body of a function names. */
function called(body) {
  const reader = new Reader(body, 0);
  reader.vector(() => reader.skip(2)); // its variables: how many of which type
  const found = new Set();
  while (reader.at < body.length) {
    const code = reader.byte();
    if (NAMES_A_FUNCTION.has(code)) found.add(reader.number());
    else if (NUMBERS.has(code)) reader.skip(NUMBERS.get(code));
    else if (code === 0x0e) reader.skip(reader.number() + 1); // br_table
    else if (code === 0x1c) reader.skip(reader.number()); // select, with types
    else if (code === 0x43) reader.taken(4);
    else if (code === 0x44) reader.taken(8);
    else if (code === 0x1f) {
      reader.number(); // try_table: its type, then what it catches
      reader.vector(() => reader.skip(reader.byte() < 2 ? 2 : 1));
    } else if (code === 0xfd) {
      const vector = reader.number(); // of 128 bits
      if (vector <= 11 || (vector >= 84 && vector <= 93)) reader.skip(2);
      if (vector === 12 || vector === 13) reader.taken(16);
      if ((vector >= 21 && vector <= 34) || (vector >= 84 && vector <= 91)) reader.byte();
    } else if (code === 0xfe) {
      reader.skip(reader.number() === 3 ? 1 : 2); // a fence, else what is atomic in memory
    } else if (code === 0xfc) {
      const more = NUMBERS_AFTER_FC[reader.number()];
      if (more === undefined) throw new Error("an instruction is not known here");
      reader.skip(more);
    } else if (!NOTHING.has(code)) throw new Error(`the instruction 0x${code.toString(16)} is not known here`);
  }
  return found;
}

/** What of a program is looked at: its memory as it begins, its table, which functions it offers, their bodies. */
function parsed(program) {
  const memory = new Uint8Array(1 << 20);
  const table = [];
  const roots = [];
  let imports = 0;
  let bodies = [];
  for (const { kind, reader } of sections(program)) {
    if (kind === SECTION.imports) {
      reader.vector(() => {
        reader.taken(reader.number());
        reader.taken(reader.number());
        if (reader.byte() !== FUNCTION) throw new Error("more than functions are imported");
        reader.number();
        imports++;
      });
    } else if (kind === SECTION.exports) {
      reader.vector(() => {
        reader.taken(reader.number());
        const isFunction = reader.byte() === FUNCTION;
        const index = reader.number();
        if (isFunction) roots.push(index);
      });
    } else if (kind === SECTION.start) roots.push(reader.number());
    else if (kind === SECTION.elements) {
      reader.vector(() => {
        const offset = reader.offset();
        reader.vector(() => reader.number()).forEach((index, i) => (table[offset + i] = index));
      });
    } else if (kind === SECTION.code) bodies = reader.vector(() => reader.taken(reader.number()));
    else if (kind === SECTION.data) {
      reader.vector(() => {
        const offset = reader.offset();
        memory.set(reader.taken(reader.number()), offset);
      });
    }
  }
  return { memory, table, roots, imports, bodies };
}

function number(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

const sized = (parts) => {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return [number(length), ...parts];
};

/** The program with other bodies; nothing else names a place in them. */
function withBodies(program, bodies) {
  const parts = [program.subarray(0, 8)];
  for (const { kind, reader } of sections(program)) {
    const whole = [program.subarray(reader.at, reader.end)];
    const contents = kind === SECTION.code ? [number(bodies.length), ...bodies.flatMap((body) => sized([body]))] : whole;
    parts.push([kind], ...sized(contents));
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

// -- Graphviz' plug-ins, as lib/gvc/gvcext.h and gvplugin.h lay them out ---------------------------
//
// A library is a name and a list of (kind, list of plug-ins); a plug-in is five words: a number, its type, its quality,
// its engine, its features. An engine is a list of functions, of which those that it does not have are 0.

const WORD = 4;
const RENDER = 0;
const LAYOUT = 1;
const LOAD_IMAGE = 4;
const ENGINE_WORDS = { [RENDER]: 30, [LAYOUT]: 2, [LOAD_IMAGE]: 1 };
const USED = { [RENDER]: ["dot", "json", "json0"], [LAYOUT]: ["dot"], [LOAD_IMAGE]: [] };
const LIBRARIES = ["core", "dot_layout", "neato_layout"];

/** Indices of the functions of plug-ins that the page never asks for, in the program's table. */
function unused(memory) {
  const view = new DataView(memory.buffer);
  const bytes = Buffer.from(memory.buffer);
  const word = (at) => view.getUint32(at, true);
  const text = (at) => bytes.subarray(at, bytes.indexOf(0, at)).toString("latin1");
  const library = (name) => {
    const found = [];
    for (let at = bytes.indexOf(`\0${name}\0`) + 1; at; at = bytes.indexOf(`\0${name}\0`, at) + 1)
      for (let holder = 0; holder < memory.length - WORD; holder += WORD)
        if (word(holder) === at && word(holder + WORD) > holder - 1024 && word(holder + WORD) < holder) found.push(word(holder + WORD));
    if (found.length !== 1) throw new Error(`Graphviz' library ${name} is not where it is expected`);
    return found[0];
  };
  const kept = new Set();
  const dropped = new Set();
  for (const name of LIBRARIES)
    for (let kind = library(name); word(kind + WORD); kind += 2 * WORD) {
      const words = ENGINE_WORDS[word(kind)];
      if (!words) continue;
      for (let plugin = word(kind + WORD); word(plugin + WORD); plugin += 5 * WORD) {
        const used = USED[word(kind)].includes(text(word(plugin + WORD)));
        for (let i = 0; i < words; i++) (used ? kept : dropped).add(word(word(plugin + 3 * WORD) + i * WORD));
      }
    }
  if (kept.size < 6 || dropped.size < 100) throw new Error("Graphviz' plug-ins are not as they are expected");
  return [...dropped].filter((index) => index && !kept.has(index));
}

const UNREACHABLE = [0, 0x00, 0x0b]; // the body of a function: no variables, `unreachable`, `end`

/** The program without what only unused plug-ins call. Should one be called all the same, that is an error. */
function smaller(program) {
  const { memory, table, roots, imports, bodies } = parsed(program);
  const dropped = new Set(unused(memory).map((index) => table[index]));
  const reached = new Set();
  const waiting = [...roots, ...table.filter((index) => index !== undefined)];
  while (waiting.length) {
    const index = waiting.pop();
    if (reached.has(index) || dropped.has(index) || index < imports) continue;
    reached.add(index);
    waiting.push(...called(bodies[index - imports]));
  }
  const kept = bodies.map((body, i) => (reached.has(i + imports) ? body : UNREACHABLE));
  const made = withBodies(program, kept);
  if (!WebAssembly.validate(made)) throw new Error("the smaller program is not valid");
  return made;
}

// -- the text around it ---------------------------------------------------------------------------

const LISTS = /function (\w+)\((\w+)\)\{return Object\.freeze\(Object\.keys\(\2\)\)\}/;
const BUILDERS = /createGraph\(\w+="G",(?:(?!createGraph\(|export\{).)*\}read\(\w+\)\{[^;]*;try\{[^}]*\}catch\((\w+)\)\{[^}]*\}\}\};export\{/;

/** The text without what builds graphs in a page, which is given whole ones, as a bundler would leave it out. */
function withoutBuilders(text) {
  const [, list] = text.match(LISTS) ?? [];
  if (!list || !BUILDERS.test(text) || !text.includes("=new Int8Array([-1,")) throw new Error("Graphviz' functions are not as they are expected");
  return text
    .replace(BUILDERS, "};export{")
    .replaceAll(`=${list}({`, `=/* @__PURE__ */${list}({`)
    .replaceAll("=new Int8Array([-1,", "=/* @__PURE__ */new Int8Array([-1,");
}

// Packed, it is told in base64, which every browser decodes by itself; deflated in a wheel that is as short as basE91.
export const smallProgram = {
  name: "small-program",
  setup(build) {
    build.onLoad({ filter: /[\\/]wasm-graphviz[\\/]dist[\\/]index\.js$/ }, async ({ path }) => {
      const whole = readFileSync(path, "utf8");
      const found = [...whole.matchAll(PROGRAM)];
      const decoded = found.length === 1 && [...whole.matchAll(new RegExp(`\\w+\\(${found[0][1]}\\)`, "g"))];
      if (decoded?.length !== 1) throw new Error(`${path} holds its program in a way that is not known here`);
      const zstd = await Zstd.load();
      const program = smaller(zstd.decompress(fromBase91(found[0][2])));
      const packed = zstd.compress(program, 22); // at the usual level it is a sixth larger, for the same decoder
      if (Buffer.compare(program, zstd.decompress(packed))) throw new Error("the program is not what it was");
      await Zstd.unload();
      const contents = withoutBuilders(whole)
        .replace(found[0][2], Buffer.from(packed).toString("base64"))
        .replace(decoded[0][0], () => `Uint8Array.from(atob(${found[0][1]}),(c)=>c.charCodeAt(0))`);
      return { contents, loader: "js" };
    });
  },
};
