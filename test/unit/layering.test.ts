/** The table under "Layout" in the design: who may import whom, and what stands nowhere. Read from the sources as they are. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Top to bottom: a unit imports from itself and from those above it. */
const ORDER = [
  'bytes',
  'errors.ts',
  'handler.ts',
  'kernel/abi',
  'kernel',
  'packet',
  'bpf',
  'filter',
  'ring',
  'file',
  'source',
  'transmit',
  'flow',
  'host',
  'handlers',
  'export',
  'capture',
  'testbed',
  'reader.ts',
  'text.ts',
  'index.ts',
  'cli',
  'dashboard',
]

/** Bytes in, values out: no I/O, no Node.js, no system call. kernel/abi is numbers and open to them. */
const PURE = ['bytes', 'kernel/abi', 'packet', 'bpf', 'filter', 'ring', 'flow']

/** They see what a user sees: what package.json exports, and themselves. */
const OUTSIDE = ['cli', 'dashboard']

/** Built-in handlers come through the users' door: the contract, and pure code. */
const CONTRACT_ONLY = 'handlers'

const JUNK_DRAWER = /(^|\/)(utils?|helpers?|common|misc)(\.ts|\/)/

interface Package {
  name: string
  exports: Record<string, string | { default: string }>
  dependencies: Record<string, string>
}

/** The unit of a path below src/, undefined when the table has none. */
function unitOf(path: string): string | undefined {
  return ORDER.find((unit) =>
    unit === 'kernel' ? path.startsWith('kernel/') && !path.startsWith('kernel/abi/') : path === unit || path.startsWith(`${unit}/`),
  )
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '$1')
}

/** Specifiers of static, dynamic, type-only and re-exporting imports. */
function importsOf(source: string): string[] {
  const found = withoutComments(source).matchAll(/(?:^|[\s;}])(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g)
  return [...found].map((match) => (match[1] ?? match[2]) as string)
}

/** What breaks the table, one line each. `files` are paths below src/ and their text. */
function violations(files: ReadonlyMap<string, string>, pkg: Package): string[] {
  const found: string[] = []
  const entries = new Map<string, string>(
    Object.entries(pkg.exports).flatMap(([subpath, target]) => {
      const file = /^\.\/dist\/(.*)\.js$/.exec(typeof target === 'string' ? target : target.default)?.[1]
      return file === undefined ? [] : [[posix.join(pkg.name, subpath), `${file}.ts`] as const]
    }),
  )
  const entryFiles = [...entries.values()]

  for (const [path, source] of files) {
    const unit = unitOf(path)
    if (JUNK_DRAWER.test(path)) found.push(`${path}: a name that says nothing; put it with its concept`)
    if (unit === undefined) {
      found.push(`${path}: not in the table of the layout`)
      continue
    }
    if (unit !== 'handlers' && /^\s*export\s+default\b|\bas\s+default\b/m.test(withoutComments(source))) found.push(`${path}: default export`)

    for (const specifier of importsOf(source)) {
      const fail = (why: string) => found.push(`${path}: imports ${specifier}: ${why}`)
      const self = entries.get(specifier)
      if (!specifier.startsWith('.') && self === undefined) {
        const name = specifier.split('/')[0] as string
        if (specifier.startsWith('#')) fail('sources import each other by relative paths')
        else if (PURE.includes(unit)) fail(`${unit} is pure`)
        else if (specifier === 'koffi' && unit !== 'kernel') fail('koffi is for kernel/ alone')
        else if (!specifier.startsWith('node:') && !(name in pkg.dependencies)) fail('not a dependency')
        else if (!specifier.startsWith('node:') && specifier !== 'koffi' && !OUTSIDE.includes(unit)) fail('koffi is the only dependency of the library')
        continue
      }
      const target = self ?? posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts')
      const targetUnit = unitOf(target)
      if (targetUnit === undefined) fail('not in the table of the layout')
      else if (targetUnit === unit) continue
      else if (ORDER.indexOf(targetUnit) > ORDER.indexOf(unit)) fail(`${targetUnit} is below ${unit}`)
      else if (OUTSIDE.includes(unit) && !entryFiles.includes(target)) fail(`${unit} may import only what package.json exports (${entryFiles.join(', ')})`)
      else if (PURE.includes(unit) && targetUnit === 'kernel') fail(`${unit} is pure`)
      else if (unit === CONTRACT_ONLY && targetUnit !== 'handler.ts' && !PURE.includes(targetUnit)) fail('handlers use the public contract and pure code')
    }
  }
  return found
}

const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))
const pkg = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package

test('src/ holds the table', () => {
  const paths = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
  assert.ok(paths.length > 10)
  const files = new Map(paths.sort().map((path) => [path, readFileSync(join(root, 'src', path), 'utf8')]))
  assert.deepEqual(violations(files, pkg), [])
})

test('each rule finds what breaks it', () => {
  const broken = (path: string, source: string) => violations(new Map([[path, source]]), pkg)
  const cases: readonly [path: string, source: string, why: RegExp | undefined][] = [
    ['ring/a.ts', "import { x } from '../packet/view.js'", undefined],
    ['ring/a.ts', "import { x } from './b.js'", undefined],
    ['ring/a.ts', "import { x } from '../kernel/abi/if_packet.js'", undefined],
    ['ring/a.ts', "import { x } from '../source/ring.js'", /source is below ring/],
    ['ring/a.ts', "import type { x } from '../kernel/system.js'", /ring is pure/],
    ['ring/a.ts', "export { x } from '../kernel/system.js'", /ring is pure/],
    ['ring/a.ts', "import { x } from 'node:fs'", /ring is pure/],
    ['kernel/abi/a.ts', "import { x } from '../system.js'", /kernel is below kernel\/abi/],
    ['kernel/a.ts', "import { x } from './abi/if.js'\nimport koffi from 'koffi'", undefined],
    ['source/a.ts', "const koffi = await import('koffi')", /koffi is for kernel/],
    ['source/a.ts', "import {\n  x,\n  y,\n} from '../capture/api.js'", /capture is below source/],
    ['source/a.ts', "// import { x } from '../capture/api.js'\n/* import '../cli/x.js' */", undefined],
    ['source/a.ts', "import '../cli/main.js'", /cli is below source/],
    ['source/a.ts', "import { x } from 'left-pad'", /not a dependency/],
    ['source/a.ts', "import { x } from '#src/kernel/errno.js'", /relative paths/],
    ['source/a.ts', "import { x } from '../nowhere/errno.js'", /not in the table/],
    [
      'cli/a.ts',
      "import { x } from '../index.js'\nimport { y } from '../testbed/index.js'\nimport { z } from './b.js'\nimport { w } from 'ringtap/handler'",
      undefined,
    ],
    ['cli/a.ts', "import { x } from '../capture/plan.js'", /only what package.json exports/],
    ['dashboard/a.ts', "import { x } from '../cli/a.js'", /only what package.json exports/],
    ['handlers/a.ts', "import { defineHandler } from '../handler.js'\nexport default defineHandler({})", undefined],
    ['handlers/a.ts', "import { x } from '../kernel/system.js'", /public contract/],
    ['flow/a.ts', 'export default 1', /default export/],
    ['flow/a.ts', 'const x = 1\nexport { x as default }', /default export/],
    ['flow/a.ts', "const text = 'to export default values'", undefined],
    ['bytes/utils.ts', '', /says nothing/],
    ['source/common/a.ts', '', /says nothing/],
    ['filter/a.ts', "import { x } from '../bytes/align.js'", undefined],
    ['stuff/a.ts', '', /not in the table/],
    ['stuff.ts', '', /not in the table/],
  ]
  for (const [path, source, why] of cases) {
    const found = broken(path, source)
    if (why === undefined) assert.deepEqual(found, [], `${path}: ${source}`)
    else assert.match(found.join('\n'), why, `${path}: ${source}`)
  }
})
