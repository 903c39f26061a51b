/** Blocks carried into another file: each interface gets its own number, at a cost that does not grow with how many there are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CaptureFileWriter } from '#src/file/capture-file.js'
import { BlockCarrier } from '#src/file/carry.js'
import type { CaptureFileInterface } from '#src/file/decode/cursor.js'
import { createDecoder } from '#src/file/decode/detect.js'
import { ByteWindow } from '#src/file/decode/window.js'
import type { CaptureFile } from '#src/file/open.js'
import { block, interfaceBlock, sectionHeader, Writer } from '../../support/capture-writer.js'

interface Carried {
  /** Names of the interfaces of the target, and for which of them there were statistics. */
  interfaces: (string | undefined)[]
  statistics: number[]
  leftOut: number
  /** How often an interface of a file, a set or a map was looked at. */
  steps: number
}

/** Takes all blocks of the files, before there is a target or when there is one. */
function carry(files: readonly Uint8Array[], isAhead: boolean, t: { after: (undo: () => void) => void }): Carried {
  const carrier = new BlockCarrier('pcapng')
  const found: Carried = { interfaces: [], statistics: [], leftOut: 0, steps: 0 }
  const writer = {
    format: 'pcapng',
    addInterface: ({ name }: { name?: string }) => found.interfaces.push(name) - 1,
    statistics: (id: number) => void found.statistics.push(id),
  } as unknown as CaptureFileWriter
  const undo = countLooks(found)
  t.after(undo)
  const decode = (bytes: Uint8Array, index: number) => {
    const window = new ByteWindow()
    window.push(bytes)
    window.ended = true
    const decoder = createDecoder(window, { tolerant: false, matcherFor: undefined, onBlock: (each) => carrier.take(index, each) })
    if (decoder === undefined || typeof decoder === 'string') throw new Error(decoder)
    const interfaces = new Proxy(decoder.interfaces as CaptureFileInterface[], {
      get: (target, key, receiver) => {
        found.steps++
        return Reflect.get(target, key, receiver)
      },
    })
    carrier.addFile({ format: 'pcapng', interfaces, sections: decoder.sections } as unknown as CaptureFile)
    return decoder
  }
  const decoders = files.map(decode)
  if (!isAhead) carrier.begin(writer, undefined)
  for (const decoder of decoders) {
    decoder.readAhead()
    assert.equal(decoder.damage, undefined)
  }
  if (isAhead) carrier.begin(writer, undefined)
  carrier.throwFailure()
  undo()
  return { ...found, leftOut: carrier.leftOut }
}

function countLooks(found: { steps: number }): () => void {
  const { has } = Set.prototype
  const { get } = Map.prototype
  Set.prototype.has = function (value) {
    found.steps++
    return has.call(this, value)
  }
  Map.prototype.get = function (key) {
    found.steps++
    return get.call(this, key)
  }
  return () => {
    Set.prototype.has = has
    Map.prototype.get = get
  }
}

const options = (build: (w: Writer) => Writer) => build(new Writer(true)).u16(0, 0).end()
const named = (name: string) =>
  interfaceBlock(
    true,
    1,
    0,
    options((w) => w.option(2, name)),
  )
const statistics = (id: number) => block(true, 5, new Writer(true).u32(id, 0, 1).end())

test('interfaces and statistics of several sections and files, whichever way they come', (t) => {
  const first = Buffer.concat([
    sectionHeader(true),
    named('a'),
    named('b'),
    statistics(1),
    statistics(2),
    sectionHeader(true),
    named('a'),
    statistics(0),
    statistics(1),
  ])
  const second = Buffer.concat([sectionHeader(true), statistics(0), named('a'), named('c'), statistics(1), statistics(0)])
  for (const isAhead of [true, false]) {
    const { interfaces, statistics, leftOut } = carry([first, second], isAhead, t)
    assert.deepEqual(interfaces, ['a', 'b', 'a', 'c'])
    assert.deepEqual(statistics, [1, 2, 3, 0])
    // Of an interface that is not described, or of another section, or not yet.
    assert.equal(leftOut, 3)
  }
})

for (const [name, fileOf] of [
  [
    'sections with an interface and statistics each',
    (count: number) => Array.from({ length: count }, () => [sectionHeader(true), interfaceBlock(true), statistics(0)]).flat(),
  ],
  [
    'one section whose interfaces have names and statistics',
    (count: number) => [
      sectionHeader(true),
      ...Array.from({ length: count }, (_, id) => named(`eth${id}`)),
      ...Array.from({ length: count }, (_, id) => statistics(id)),
    ],
  ],
  ['one section whose interfaces are alike', (count: number) => [sectionHeader(true), ...Array.from({ length: count }, () => interfaceBlock(true))]],
] as const) {
  test(`${name}: four times as many take four times the steps`, (t) => {
    for (const isAhead of [true, false]) {
      const few = carry([Buffer.concat(fileOf(500))], isAhead, t).steps
      const many = carry([Buffer.concat(fileOf(2000))], isAhead, t).steps
      assert.ok(many < 5 * few, `${few} steps, then ${many}`)
    }
  })
}
