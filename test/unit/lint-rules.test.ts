/**
 * The lint rules of hot folders fire where biome.json puts them. The snippets are linted with the real biome.json and lint/, in
 * a temporary folder of the same shape.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))
const folder = mkdtempSync(join(tmpdir(), 'ringtap-lint-'))
after(() => rmSync(folder, { recursive: true, force: true }))
copyFileSync(join(root, 'biome.json'), join(folder, 'biome.json'))
cpSync(join(root, 'lint'), join(folder, 'lint'), { recursive: true })

interface Case {
  /** Where the source would be; `*` stands for any name. */
  path: string
  source: string
  /** What our own rules say, up to the semicolon. */
  expected: readonly string[]
}

/** Few runs over many files: a run costs more than a file. Two cases of one path need two runs. */
function check(cases: readonly Case[]): void {
  let left = cases.map((one, index) => ({ ...one, path: one.path.replace('*', `x${index}`) }))
  while (left.length > 0) {
    const round = left.filter((one, index) => left.findIndex((other) => other.path === one.path) === index)
    left = left.filter((one) => !round.includes(one))
    rmSync(join(folder, 'src'), { recursive: true, force: true })
    for (const { path, source } of round) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), source)
    }
    const options = ['lint', '--reporter=github', '--max-diagnostics=none', 'src']
    const { status, stdout, stderr } = spawnSync(join(root, 'node_modules/.bin/biome'), options, { cwd: folder, encoding: 'utf8' })
    assert.equal(status, stdout.includes('::error') ? 1 : 0, stdout + stderr)
    const said = [...stdout.matchAll(/^::error title=plugin,file=([^,]*),.*?::(.*)$/gm)]
    for (const { path, source, expected } of round) {
      const messages = said.filter((match) => match[1] === join(realpathSync(folder), path)).map((match) => (match[2] as string).split(';')[0])
      assert.deepEqual(messages, expected, `${path}:\n${source}\n${stdout}`)
    }
  }
}

const HOT = ['src/ring/*.ts', 'src/packet/deep/*.ts', 'src/flow/*.ts', 'src/capture/loop.ts']
const COLD = ['src/source/*.ts', 'src/capture/*.ts', 'src/handlers/*.ts']

/** A snippet and what is said of it; `n` and `bytes` are there to use. */
const ANYWHERE: readonly [code: string, message: string][] = [
  ['return Number(5n)', 'hot path: BigInt is slow'],
  ['return Number(BigInt(n))', 'hot path: BigInt is slow'],
  ['return new BigUint64Array(n).length', 'hot path: BigInt is slow'],
  ['return bytes.subarray(n).length', 'hot path: subarray and slice make an object each time'],
  ['return bytes.slice(n).length', 'hot path: subarray and slice make an object each time'],
  ['return bytes?.slice(n).length', 'hot path: subarray and slice make an object each time'],
  ['for (const byte of bytes) n += byte\nreturn n', 'hot path: for...of makes an iterator'],
]

const TRIES: readonly string[] = [
  'try { n++ } catch { n-- }\nreturn n',
  'try { n++ } finally { n-- }\nreturn n',
  'try { n++ } catch { n = 1 } finally { n-- }\nreturn n',
]

/** Each is forbidden in a loop and allowed outside. */
const IN_LOOP: readonly [code: string, message: string][] = [
  ['n += new Date().getTime()', 'hot loop: allocates each turn'],
  ['use({ n })', 'hot loop: allocates each turn'],
  ['use([n])', 'hot loop: allocates each turn'],
  ['use(/x/)', 'hot loop: allocates each turn'],
  [`use(\`packet \${n}\`)`, 'hot loop: makes a string each turn'],
  ['n += Math.max(...bytes)', 'hot loop: spread allocates and iterates'],
  ['use(() => n)', 'hot loop: makes a closure each turn'],
  ['use(function () { return n })', 'hot loop: makes a closure each turn'],
  ["if (n > 5) throw 'x'", 'hot loop: no throw'],
]

const LOOPS = ['for (let i = 0; i < n; i++) {', 'while (n > 0) {', 'do {', 'for (;;) {']
const close = (loop: string) => (loop === 'do {' ? '} while (n > 0)' : '}')

const inFunction = (code: string) => `declare function use(value: unknown): void\nexport function hot(bytes: Uint8Array, n: number): number {\n${code}\n}\n`

test('forbidden anywhere in a hot file, allowed elsewhere', () => {
  check(
    ANYWHERE.flatMap(([code, message]) => [
      ...HOT.map((path) => ({ path, source: inFunction(code), expected: [message] })),
      ...COLD.map((path) => ({ path, source: inFunction(code), expected: [] })),
    ]),
  )
})

test('no try over packets; in the worker only outside loops', () => {
  check(
    TRIES.flatMap((code) => {
      const loop = `while (n > 0) {\n${code}\n}\nreturn n`
      return [
        { path: 'src/ring/*.ts', source: inFunction(code), expected: ['hot path: no try'] },
        { path: 'src/capture/loop.ts', source: inFunction(code), expected: [] },
        { path: 'src/capture/loop.ts', source: inFunction(loop), expected: ['hot loop: no try in a loop'] },
        { path: 'src/capture/*.ts', source: inFunction(loop), expected: [] },
      ]
    }),
  )
})

test('forbidden in every kind of loop of a hot file, allowed outside the loop and in cold files', () => {
  check(
    IN_LOOP.flatMap(([code, message]) => [
      { path: 'src/ring/*.ts', source: inFunction(`${code}\nreturn n`), expected: [] },
      { path: 'src/capture/loop.ts', source: inFunction(`while (n > 0) {\n${code}\n}\nreturn n`), expected: [message] },
      ...LOOPS.map((loop) => `${loop}\n${code}\n${close(loop)}\nreturn n`).flatMap((source) => [
        { path: 'src/flow/*.ts', source: inFunction(source), expected: [message] },
        { path: 'src/source/*.ts', source: inFunction(source), expected: [] },
      ]),
    ]),
  )
})

test('what is meant to be there passes: copy(), constructors, a plain walk', () => {
  const source = `
export class View {
  #parts: Uint8Array[] = []
  constructor(bytes: Uint8Array, count: number) {
    for (let i = 0; i < count; i++) this.#parts.push(bytes.subarray(i, i + 1))
    new BigUint64Array(bytes.buffer)[0] = BigInt(count) + 1n
  }
  copy(): Uint8Array {
    return this.#parts[0]?.slice() ?? new Uint8Array(0)
  }
}
export function walk(words: Uint32Array, first: number, count: number): number {
  if (count < 0) throw new RangeError(\`count is \${count}\`)
  let at = first >>> 2
  let bytes = 0
  for (let left = count; left > 0; left--) {
    bytes += words[at + 4] as number
    at += (words[at] as number) >>> 2
  }
  return bytes
}
`
  check(HOT.map((path) => ({ path, source, expected: [] })))
})

test('handlers: packet() and block() are hot, the rest is not', () => {
  const path = 'src/handlers/*.ts'
  const handler = (packet: string, snapshot = '') => `
declare function use(value: unknown): void
export default {
  open: () => new Map<number, number>(),
  packet(p: { bytes: Uint8Array }, state: Map<number, number>) { ${packet} },
  snapshot(state: Map<number, number>) { ${snapshot} },
}
`
  const cases: readonly [code: string, message: string][] = [
    ['use(5n)', 'packet handler: BigInt is slow'],
    ['use(BigInt(1))', 'packet handler: BigInt is slow'],
    ['use(p.bytes.subarray(1))', 'packet handler: subarray and slice make an object a packet'],
    ['for (const byte of p.bytes) use(byte)', 'packet handler: for...of makes an iterator'],
    ['try { use(1) } catch {}', 'packet handler: no try and no throw'],
    ["throw 'x'", 'packet handler: no try and no throw'],
    ['use({ state })', 'packet handler: allocates'],
    ['use([1])', 'packet handler: allocates'],
    ['use(new Date())', 'packet handler: allocates'],
    [`use(\`x\${state}\`)`, 'packet handler: allocates'],
    ['Math.max(...p.bytes)', 'packet handler: allocates'],
    ['use(() => p)', 'packet handler: makes a closure a packet'],
  ]
  check(
    cases.flatMap(([code, message]) =>
      [
        handler(code),
        handler(code).replace('packet(', 'block('),
        handler(code).replace(/packet(\(.*\)) \{ (.*) \},/, 'packet: $1 => { $2 },'),
        // The same in snapshot(), which is not hot.
        handler('', code.replaceAll('p.bytes', 'new Uint8Array(1)')),
      ].map((source, index) => ({ path, source, expected: index < 3 ? [message] : [] })),
    ),
  )
})
