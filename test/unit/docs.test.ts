/** What the documents show compiles and runs, what they should name they name, and their links lead somewhere. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { describeFailure } from '#src/cli/exit-status.js'
import {
  BACKENDS,
  type BlockView,
  CAPTURE_ERROR_CODES,
  CaptureError,
  type CaptureEvent,
  type CaptureOptions,
  type CaptureSummary,
  type Drops,
  FANOUT_MODES,
  type FanoutOptions,
  type Handler,
  type HandlerContext,
  type LedgerPlace,
  type Packet,
  type PacketsOptions,
  type PacketView,
  planCapture,
  type Refusals,
  type TransmitOptions,
  type TransmitterOptions,
  type WorkerCounters,
} from '#src/index.js'

const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))
const DOCUMENTS = [
  'README.md',
  'docs/library.md',
  'docs/cli.md',
  'docs/ladder.md',
  'docs/filter.md',
  'docs/files.md',
  'docs/ledger.md',
  'docs/scaling.md',
  'docs/host.md',
]
const library = readFileSync(join(root, 'docs/library.md'), 'utf8')

const folder = mkdtempSync(join(tmpdir(), 'ringtap-docs-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** Keys of a type, all of them: the compiler sees to that. */
function keys<T extends string>(all: Record<T, true>): T[] {
  return Object.keys(all) as T[]
}

/** The cells of the table row that begins with this name, alone or among others, under a heading of docs/library.md. */
function row(heading: string, name: string): string[] {
  const [, section] = library.split(`\n## ${heading}\n`) as [string, string?]
  const lines = section?.split('\n## ', 1)[0]?.split('\n') ?? []
  const line = lines.find((text) => text.startsWith('| ') && (text.split(' | ', 1)[0] as string).includes(`\`${name}\``))
  assert.ok(line !== undefined, `docs/library.md has no row for ${name} under ${heading}`)
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

interface CodeBlock {
  document: string
  /** Of its first line. */
  line: number
  /** Given after the language, where another block imports it or it can be run. */
  name: string
  text: string
}

function codeBlocks(document: string): CodeBlock[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/^```(ts|js)(?: (\S+))?\n(.*?)^```$/gms)].map(({ 0: whole, 1: language, 2: name, 3: code, index }) => {
    const line = text.slice(0, index).split('\n').length + 1
    assert.ok(whole !== '')
    return { document, line, name: name ?? `${document.replace(/\W/g, '-')}-${line}.${language}`, text: code as string }
  })
}

test('every block of code compiles against the library, and tests among them pass', () => {
  const blocks = DOCUMENTS.flatMap(codeBlocks)
  assert.ok(blocks.length >= 15)
  const modules = join(folder, 'node_modules')
  mkdirSync(modules)
  symlinkSync(root, join(modules, 'ringtap'))
  symlinkSync(join(root, 'node_modules/@types'), join(modules, '@types'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  // Lines are those of the document, so that diagnostics lead there.
  for (const { name, line, text } of blocks) writeFileSync(join(folder, name), '\n'.repeat(line - 1) + text)
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    module: 'nodenext',
    target: 'es2022',
    lib: ['es2023'],
    types: ['node'],
    moduleDetection: 'force',
    allowJs: true,
    checkJs: true,
    outDir: 'out',
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: blocks.map(({ name }) => name) }))
  const compiled = spawnSync(join(root, 'node_modules/.bin/tsc'), ['--pretty', 'false', '-p', folder], { cwd: folder, encoding: 'utf8' })
  assert.equal(compiled.stdout + compiled.stderr, '')

  const tests = blocks.filter(({ name }) => name.includes('.test.')).map(({ name }) => join(folder, 'out', name))
  assert.ok(tests.length > 0)
  // A test that is run by a test would report to it, not to us.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const run = spawnSync(process.execPath, ['--test', '--test-reporter=tap', ...tests], { encoding: 'utf8', env })
  assert.equal(run.status, 0, run.stdout + run.stderr)
  assert.match(run.stdout, /^# pass [1-9]/m)
})

test('docs/library.md has every option and every refusal of transmitting', () => {
  const names = [
    ...keys<keyof TransmitterOptions>({ interface: true, netns: true, backend: true, qdiscBypass: true, frames: true, yesThisNetwork: true }),
    ...keys<keyof TransmitOptions>({
      timing: true,
      multiplier: true,
      ratePps: true,
      rateBps: true,
      loop: true,
      limit: true,
      truncated: true,
      roomTimeoutMs: true,
      signal: true,
    }),
    ...keys<keyof Refusals>({ tooLong: true, tooShort: true, truncated: true, linkType: true, down: true, noRoom: true, invalid: true }),
  ]
  for (const name of names) assert.ok(row('Transmitting', name).length >= 2, name)
})

test('docs/library.md has every option, with its default', () => {
  const options = keys<keyof CaptureOptions>({
    interface: true,
    netns: true,
    backend: true,
    workers: true,
    fanout: true,
    pin: true,
    ringBytes: true,
    ringHold: true,
    blockBytes: true,
    blockTimeoutMs: true,
    receiveBufferBytes: true,
    batch: true,
    exclusive: true,
    xdpMode: true,
    chunkBytes: true,
    busyPollUs: true,
    hardwareHints: true,
    filter: true,
    snapLengthBytes: true,
    promiscuous: true,
    direction: true,
    count: true,
    durationMs: true,
    write: true,
    user: true,
    handler: true,
    handlerData: true,
    workerRestarts: true,
    signal: true,
    onEvent: true,
  })
  for (const option of options) assert.equal(row('Options', option).length, 4, option)

  const plan = planCapture({ interface: 'eth0', workers: 2 }, { pageSize: 4096, cpus: [0, 1], availableMemoryBytes: 2 ** 40 })
  const mebibytes = (bytes: number) => `${bytes / 2 ** 20} MiB`
  const defaults: Partial<Record<keyof CaptureOptions, string>> = {
    ringBytes: mebibytes(plan.ring.blockBytes * plan.ring.blockCount),
    blockBytes: mebibytes(plan.ring.blockBytes),
    blockTimeoutMs: String(plan.ring.blockTimeoutMs),
    receiveBufferBytes: mebibytes(plan.receiveBufferBytes),
    batch: String(plan.batch),
    snapLengthBytes: String(plan.snapLengthBytes),
    promiscuous: String(plan.promiscuous),
    fanout: `\`${plan.fanout?.mode}\``,
    workers: '1',
    workerRestarts: String(plan.workerRestarts),
    exclusive: String(plan.exclusive),
    xdpMode: `\`${plan.xdp.mode}\``,
    busyPollUs: `${plan.xdp.busyPollUs}: off`,
    hardwareHints: String(plan.xdp.hints),
  }
  for (const [option, expected] of Object.entries(defaults)) assert.equal(row('Options', option)[2], expected, option)
  const one = planCapture({ interface: 'eth0' }, { pageSize: 4096, cpus: [0, 1], availableMemoryBytes: 2 ** 40 })
  assert.deepEqual([one.workersPerInterface, one.backend], [1, 'ring'])

  for (const option of keys<Exclude<keyof PacketsOptions, keyof CaptureOptions>>({ whenFull: true, queueBytes: true }))
    assert.equal(row('packets(): one packet after another', option).length, 3)
  for (const flag of keys<keyof FanoutOptions>({ mode: true, defrag: true, rollover: true, ignoreOutgoing: true, program: true })) {
    assert.ok(library.includes(`\`${flag}\``) || library.includes(`${flag}: `), flag)
  }
})

test('docs/library.md has every backend, fanout mode, event and field', () => {
  const rows: Record<string, readonly string[]> = {
    'Several workers: fanout': FANOUT_MODES,
    'Interface life and events': keys<CaptureEvent['type']>({
      'interface-down': true,
      'interface-up': true,
      'worker-replaced': true,
      'write-error': true,
      'file-finished': true,
      'file-removed': true,
      'file-replaced': true,
      'commands-left': true,
      'files-full': true,
      'file-warning': true,
      triggered: true,
      'past-written': true,
      xdp: true,
      warning: true,
    }),
    Handlers: keys<Exclude<keyof PacketView, 'copy' | 'copyInto'>>({
      bytes: true,
      offset: true,
      capturedLength: true,
      wireLength: true,
      seconds: true,
      nanoseconds: true,
      timestampSource: true,
      status: true,
      hasVlan: true,
      vlanId: true,
      vlanTci: true,
      vlanTpid: true,
      packetType: true,
      outgoing: true,
      protocol: true,
      interfaceIndex: true,
      rxhash: true,
    }),
    Counters: [
      ...keys<keyof Drops>({
        ring: true,
        socket: true,
        fillRing: true,
        rxRing: true,
        oversize: true,
        redirect: true,
        handler: true,
        consumer: true,
        writer: true,
        unread: true,
      }),
      'freezes',
      'truncated',
      'passed',
      'filtered',
      'interfaceDrops',
      ...keys<keyof WorkerCounters>({
        worker: true,
        interface: true,
        packets: true,
        bytes: true,
        offered: true,
        drops: true,
        dropped: true,
        freezes: true,
        truncated: true,
        writtenPackets: true,
        writtenBytes: true,
        blocks: true,
        cpu: true,
        cpuUserMs: true,
        cpuSystemMs: true,
        handlerMaxMs: true,
        handlerBusyMs: true,
      }),
    ],
  }
  for (const [heading, names] of Object.entries(rows)) for (const name of names) assert.ok(row(heading, name).length >= 2)

  const mentioned = [
    ...BACKENDS,
    ...keys<keyof Handler>({ needs: true, open: true, packet: true, block: true, snapshot: true, merge: true, close: true }),
    ...keys<keyof HandlerContext>({ workerIndex: true, workerCount: true, interfaceName: true, interfaceIndex: true, data: true, countDrops: true }),
    ...keys<keyof BlockView>({ bytes: true, words16: true, words32: true, packetCount: true, firstOffset: true }),
    ...keys<keyof Packet>({
      bytes: true,
      wireLength: true,
      seconds: true,
      nanoseconds: true,
      packetType: true,
      interfaceIndex: true,
      vlanId: true,
      droppedBefore: true,
    }),
    ...keys<CaptureSummary['reason']>({ count: true, duration: true, stopped: true, aborted: true, files: true, reader: true, failed: true }),
    'copy()',
    'copyInto(target, at)',
  ]
  for (const name of mentioned) assert.ok(library.includes(`\`${name}\``) || library.includes(`\`${name}(`), name)
})

test('docs/ledger.md has a row for every place', () => {
  const ledger = readFileSync(join(root, 'docs/ledger.md'), 'utf8')
  const rows = [...ledger.matchAll(/^\| (`\w+`(?:, `\w+`)*) \| (?:in|before|lost|left|delivered|note) \| `ringtap_\w+` \| \S/gm)].map(
    ([, names]) => names as string,
  )
  const documented = rows.flatMap((names) => names.replaceAll('`', '').split(', '))
  const places = keys<LedgerPlace>({
    received: true,
    sent: true,
    sentDropped: true,
    sentQueued: true,
    nicMissed: true,
    nicLimited: true,
    nicErrors: true,
    nicNoBuffer: true,
    driver: true,
    softnetDropped: true,
    softnetSqueezed: true,
    softnet: true,
    xdpDrop: true,
    xdpTx: true,
    xdpRedirect: true,
    xdpPassed: true,
    xdpFiltered: true,
    notMatched: true,
    edges: true,
    waiting: true,
    offered: true,
    ring: true,
    socket: true,
    fillRing: true,
    rxRing: true,
    oversize: true,
    redirect: true,
    handler: true,
    consumer: true,
    writer: true,
    unread: true,
    freezes: true,
    truncated: true,
    delivered: true,
  })
  assert.deepEqual(documented.sort(), [...places].sort())
})

test('docs/library.md has every error code, with the exit status that the command has for it', () => {
  for (const code of CAPTURE_ERROR_CODES) assert.equal(row('Errors', code)[3], String(describeFailure(new CaptureError(code, '')).status), code)
  const documented = [...library.matchAll(/^\| `([A-Z_]{4,})` \|/gm)].map(([, code]) => code)
  assert.deepEqual(documented.sort(), [...CAPTURE_ERROR_CODES].sort())
})

test('links lead to files and headings that are there', () => {
  for (const document of DOCUMENTS) {
    const text = readFileSync(join(root, document), 'utf8').replaceAll(/^```.*?^```$/gms, '')
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target as string)) continue
      const [path, anchor] = (target as string).split('#') as [string, string?]
      const file = path === '' ? join(root, document) : join(root, dirname(document), path)
      assert.ok(existsSync(file), `${document}: ${target}`)
      if (anchor === undefined) continue
      const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        (heading as string)
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      )
      assert.ok(headings.includes(anchor), `${document}: ${target}`)
    }
  }
})

test('README.md has two commands to begin, a place for the ladder, and is short', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  assert.ok(readme.split('\n').length <= 121)
  assert.match(readme, /<!-- ladder -->\n[\s\S]*\n<!-- \/ladder -->/)
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  const named = [...readme.matchAll(/npm (?:run )?(demo|test)\b/g)].map(([, name]) => name as string)
  assert.deepEqual([...new Set(named)].sort(), ['demo', 'test'])
  for (const name of named) assert.ok(name in scripts)
})
