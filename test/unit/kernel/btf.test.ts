import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { functionIds, kernelFunctions } from '#src/kernel/btf.js'
import { BTF_KINDS, type BtfType, btfBlob } from '../../support/btf-blob.js'
import { seededRandom } from '../../support/random.js'

const WANTED = ['bpf_first', 'bpf_second']
const idsOf = (blob: Uint8Array, names: readonly string[] = WANTED) => Object.fromEntries(functionIds(blob, names))

describe('functions by name', () => {
  test('the first type is 1', () => {
    assert.deepEqual(idsOf(btfBlob([{ kind: 'func', name: 'bpf_first' }])), { bpf_first: 1 })
  })

  for (const kind of BTF_KINDS) {
    for (const entries of [0, 1, 5, 0xffff]) {
      test(`behind a type of kind ${kind} with ${entries} entries`, () => {
        const types: BtfType[] = [
          { kind, name: 'x', entries },
          { kind: 'func', name: 'bpf_first' },
          { kind, entries },
          { kind: 'func', name: 'bpf_second' },
        ]
        assert.deepEqual(idsOf(btfBlob(types)), { bpf_first: 2, bpf_second: 4 })
      })
    }
  }

  test('only functions, only whole names, the first of several', () => {
    const types: BtfType[] = [
      { kind: 'struct', name: 'bpf_first', entries: 2 },
      { kind: 'func', name: 'bpf_first_of_all' },
      { kind: 'func', name: 'bpf_firs' },
      { kind: 'func', name: 'xbpf_first' },
      { kind: 'func', name: 'bpf_first' },
      { kind: 'typedef', name: 'bpf_second' },
      { kind: 'func', name: 'bpf_first' },
    ]
    assert.deepEqual(idsOf(btfBlob(types)), { bpf_first: 5 })
    assert.deepEqual(idsOf(btfBlob(types), []), {})
  })

  test('a name that is the end of another one in the strings', () => {
    const blob = btfBlob([{ kind: 'func', name: 'a_bpf_first' }])
    new DataView(blob.buffer).setUint32(24, 3, true)
    assert.deepEqual(idsOf(blob), { bpf_first: 1 })
  })

  test('a longer header, and sections in the other order', () => {
    const types: BtfType[] = [{ kind: 'int' }, { kind: 'func', name: 'bpf_second' }]
    for (const layout of [{ headerBytes: 32 }, { stringsFirst: true }, { headerBytes: 29, stringsFirst: true }]) {
      assert.deepEqual(idsOf(btfBlob(types, layout)), { bpf_second: 2 }, JSON.stringify(layout))
    }
  })

  test('in the middle of a buffer', () => {
    const blob = btfBlob([{ kind: 'func', name: 'bpf_first' }])
    const around = new Uint8Array(blob.length + 7).fill(0xff)
    around.set(blob, 3)
    assert.deepEqual(idsOf(around.subarray(3, 3 + blob.length)), { bpf_first: 1 })
  })

  test('from a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-btf-'))
    try {
      const path = join(folder, 'vmlinux')
      writeFileSync(path, btfBlob([{ kind: 'ptr' }, { kind: 'func', name: 'bpf_first' }]))
      assert.deepEqual([...kernelFunctions(WANTED, path)], [['bpf_first', 2]])
      assert.throws(() => kernelFunctions(WANTED, join(folder, 'absent')), { code: 'ENOENT' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('what is not well formed', () => {
  const types: BtfType[] = [{ kind: 'struct', entries: 3 }, { kind: 'func', name: 'bpf_first' }, { kind: 'int' }]
  const broken = (change: (view: DataView, blob: Uint8Array) => void) => {
    const blob = btfBlob(types)
    change(new DataView(blob.buffer), blob)
    return blob
  }
  const atTheEnd = btfBlob(types, { stringsFirst: true })
  new DataView(atTheEnd.buffer).setUint32(12, 50, true)
  const cases: readonly [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /0 bytes are no header/],
    ['half a header', btfBlob(types).subarray(0, 23), /23 bytes are no header/],
    ['another magic', broken((view) => view.setUint16(0, 0x9feb, true)), /magic 0x9feb and version 1/],
    ['another version', broken((view) => view.setUint8(2, 2)), /magic 0xeb9f and version 2/],
    ['a header that is too short', broken((view) => view.setUint32(4, 20, true)), /a header of 20 bytes/],
    ['a header that is too long', broken((view) => view.setUint32(4, 2 ** 32 - 1, true)), /a section that ends at byte 4294967\d+ of/],
    ['types beyond the end', broken((view) => view.setUint32(12, 2 ** 32 - 1, true)), /a section that ends at byte/],
    ['types that begin beyond the end', broken((view) => view.setUint32(8, 4000, true)), /a section that ends at byte/],
    ['strings beyond the end', broken((view) => view.setUint32(20, 4000, true)), /a section that ends at byte/],
    ['a type that is cut', broken((view) => view.setUint32(12, 56, true)), /type 2 ends behind its section/],
    ['a type that is cut where all ends', atTheEnd.subarray(0, -(12 + 36 + 12 + 16 - 50)), /type 2 ends behind its section/],
    ['entries that are cut', broken((view) => view.setUint32(12, 40, true)), /type 1 ends behind its section/],
    ['more entries than there is room', broken((view) => view.setUint16(28, 0xffff, true)), /type 1 ends behind its section/],
    ['a kind from the future', btfBlob([{ kind: 'ptr' }, { kind: 20 }, ...types]), /type 2 is of unknown kind 20/],
    ['no kind', btfBlob([{ kind: 0 }]), /type 1 is of unknown kind 0/],
  ]
  for (const [name, blob, message] of cases) test(name, () => assert.throws(() => functionIds(blob, [...WANTED]), { name: 'RangeError', message }))

  test('a name beyond the strings is no name', () => {
    for (const offset of [1000, 2 ** 32 - 1]) {
      assert.deepEqual(idsOf(broken((view) => view.setUint32(24 + 12 + 36, offset, true))), {}, `${offset}`)
    }
    // The last string without its end: the section ends before it.
    const cut = btfBlob([{ kind: 'func', name: 'bpf_first' }])
    new DataView(cut.buffer).setUint32(20, '\0bpf_first'.length, true)
    assert.deepEqual(idsOf(cut), {})
  })
})

test('random blobs: every function is found; with bytes that lie, an answer or a RangeError', (t) => {
  const random = seededRandom(t)
  let refused = 0
  for (let round = 0; round < 400; round++) {
    const types = Array.from({ length: random.between(1, 40) }, (): BtfType => {
      if (random.oneIn(3)) return { kind: 'func', name: `function_${random.between(0, 20)}` }
      return { kind: random.pick(BTF_KINDS), name: random.pick(['', 'function_1', 'other']), entries: random.between(0, 6) }
    })
    const blob = btfBlob(types, { headerBytes: random.pick([24, 32]), stringsFirst: random.oneIn(2) })
    const names = Array.from({ length: 21 }, (_, i) => `function_${i}`)
    const expected = names.flatMap((name) => {
      const id = types.findIndex((type) => type.kind === 'func' && type.name === name) + 1
      return id === 0 ? [] : [[name, id] as const]
    })
    assert.deepEqual(idsOf(blob, names), Object.fromEntries(expected), `round ${round}`)

    for (let change = random.between(1, 4); change > 0; change--)
      blob[random.between(0, blob.length - 1)] = random.pick([0, 1, 0x7f, 0xff, random.word() & 0xff])
    const cut = random.oneIn(4) ? blob.subarray(0, random.between(0, blob.length)) : blob
    try {
      for (const id of functionIds(cut, names).values()) assert.ok(id >= 1 && id <= cut.length / 12)
    } catch (error) {
      assert.ok(error instanceof RangeError && /^BTF that cannot be read: /.test(error.message), `round ${round}: ${error}`)
      refused++
    }
  }
  assert.ok(refused > 20, `${refused}`)
})
