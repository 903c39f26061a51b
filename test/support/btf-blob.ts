/** BTF written by hand: what a kernel tells of its types (Documentation/bpf/btf.rst). */

/** Kinds: number, words that follow a type of the kind, and words that follow it for each entry. */
const SHAPES = {
  int: [1, 1, 0],
  ptr: [2, 0, 0],
  array: [3, 3, 0],
  struct: [4, 0, 3],
  union: [5, 0, 3],
  enum: [6, 0, 2],
  fwd: [7, 0, 0],
  typedef: [8, 0, 0],
  volatile: [9, 0, 0],
  const: [10, 0, 0],
  restrict: [11, 0, 0],
  func: [12, 0, 0],
  func_proto: [13, 0, 2],
  var: [14, 1, 0],
  datasec: [15, 0, 3],
  float: [16, 0, 0],
  decl_tag: [17, 1, 0],
  type_tag: [18, 0, 0],
  enum64: [19, 0, 3],
} as const satisfies Record<string, readonly [kind: number, words: number, wordsEach: number]>

export type BtfKind = keyof typeof SHAPES
export const BTF_KINDS = Object.keys(SHAPES) as BtfKind[]

export interface BtfType {
  kind: BtfKind | number
  name?: string
  /** Members, parameters, values. Default 0. */
  entries?: number
}

export interface BtfLayout {
  /** Bytes of the header; a newer kernel's may be longer. Default 24. */
  headerBytes?: number
  /** Put the strings before the types. */
  stringsFirst?: boolean
}

/** Type 1 is the first. What follows a type is filled with `0xee`, as nobody should look at it. */
export function btfBlob(types: readonly BtfType[], { headerBytes = 24, stringsFirst = false }: BtfLayout = {}): Uint8Array<ArrayBuffer> {
  let strings = '\0'
  const words: number[] = []
  for (const { kind, name = '', entries = 0 } of types) {
    const [number, fixed, each] = typeof kind === 'number' ? [kind, 0, 0] : SHAPES[kind]
    words.push(name === '' ? 0 : strings.length, ((number << 24) | entries) >>> 0, 7)
    if (name !== '') strings += `${name}\0`
    for (let i = 0; i < fixed + each * entries; i++) words.push(0xeeee_eeee)
  }
  const typeBytes = new Uint8Array(Uint32Array.from(words).buffer)
  const stringBytes = new TextEncoder().encode(strings)
  const [typeAt, stringAt] = stringsFirst ? [stringBytes.length, 0] : [0, typeBytes.length]
  const blob = new Uint8Array(headerBytes + typeBytes.length + stringBytes.length)
  const header = new DataView(blob.buffer)
  header.setUint16(0, 0xeb9f, true)
  header.setUint8(2, 1)
  for (const [i, word] of [headerBytes, typeAt, typeBytes.length, stringAt, stringBytes.length].entries()) header.setUint32(4 + 4 * i, word, true)
  blob.set(typeBytes, headerBytes + typeAt)
  blob.set(stringBytes, headerBytes + stringAt)
  return blob
}
