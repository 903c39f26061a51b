/**
 * The package as its users get it: packed, installed into an empty folder, run, imported and compiled against. Installing takes
 * koffi from npm's cache or registry.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))
const tsc = join(root, 'node_modules/.bin/tsc')

interface Manifest {
  version: string
  scripts?: Record<string, string>
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
}

interface Compiled {
  status: number | null
  /** One diagnostic a line. */
  output: string
}

const CONSUMER = `
import { type Capture, CaptureError, type CaptureErrorCode, type CaptureOptions, type CaptureSummary, openCapture, type Packet, packets } from 'ringtap'
import { type CountClass, countInKernel, type KernelCount, type KernelCounters } from 'ringtap'
import * as whole from 'ringtap'
import { defineHandler, type Handler } from 'ringtap/handler'
import { type AppliedTuning, applyTuning, planTuning, readTuning, type TuningPlan } from 'ringtap/host'
import { cpuListText, type HostFacts, type InterfaceFacts, readHostFacts, readInterfaceFacts, type UnreadFact } from 'ringtap/host'
import { type CaptureSize, type Diagnosis, diagnoseHost, type RingSimulation, simulateRing, sizeCapture } from 'ringtap/host'
import { type CpuLoad, cpuLoads, type NicCounters, nicCounters, parseCpuTimes, parseSoftnet, readCpuTimes, type SoftnetCpu } from 'ringtap/host'
import { createTestbed, type FloodResult, startFlood, type Testbed } from 'ringtap/testbed'

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(..._: Same<A, B> extends true ? [] : ['these differ', A, B]): void {}

const snapshots = defineHandler({
  open: ({ workerIndex, data }) => new Map<number, number>([[workerIndex, Number(data)]]),
  packet(p, sizes) {
    sizes.set(p.wireLength, (sizes.get(p.wireLength) ?? 0) + 1)
  },
  snapshot: (sizes) => ({ different: sizes.size }),
  merge: (a, b) => ({ different: a.different + b.different }),
  close: (sizes) => sizes.clear(),
})
same<typeof snapshots, Handler<Map<number, number>, { different: number }>>()

const asynchronous = defineHandler({
  needs: { rxhash: true },
  async open({ countDrops }) {
    return { countDrops, seen: 0 }
  },
  block(b, state) {
    state.seen += b.packetCount + b.words32.length + b.words16.length + b.bytes.length + b.firstOffset
    state.countDrops(1, 'consumer')
  },
  snapshot: (state) => state.seen,
  merge: (a, b) => a + b,
})
type State = Parameters<NonNullable<typeof asynchronous.packet>>[1]
same<State['seen'], number>()
same<ReturnType<NonNullable<typeof asynchronous.snapshot>>, number>()

const stateIsSnapshot = defineHandler({ open: () => new Date(), snapshot: (date) => date, merge: (a, b) => (a < b ? a : b) })
same<typeof stateIsSnapshot, Handler<Date, Date>>()
const stateless = defineHandler({ packet: (p) => void p.copy() })
same<whole.Handler<Date, Date>, Handler<Date, Date>>()

const handlers: Handler[] = [stateless]

async function again(file: whole.CaptureFile): Promise<void> {
  await using written = await whole.createCaptureFile('w.pcapng', { interfaces: file.interfaces.map(whole.interfaceForWriting) })
  for await (const packet of file) written.write(packet)
}

async function main(options: CaptureOptions): Promise<CaptureSummary> {
  await using capture: Capture = await openCapture({
    ...options,
    interface: ['eth0', 'eth1'],
    workers: 'auto',
    fanout: { mode: 'cbpf', program: [[0x06, 0, 0, 0]] },
    pin: [0, 1],
    ringHold: { ms: 500, packetsPerSecond: 2_000_000 },
    write: { path: '/tmp/x.pcapng', perWorker: true },
    handler: new URL('./handler.js', import.meta.url),
    signal: AbortSignal.timeout(1000),
    onEvent(event) {
      if (event.type === 'warning') same<typeof event.hint, string | undefined>()
      else if (event.type === 'worker-replaced' || event.type === 'write-error') same<typeof event.error, CaptureError>()
      else if (event.type === 'interface-down' || event.type === 'xdp') same<typeof event.interface, string>()
    },
  })
  for await (const { packetsPerSecond, drops, workers, total } of capture.stats({ intervalMs: 100 })) {
    same<typeof packetsPerSecond, number>()
    console.log(drops.ring, workers[0]?.handlerMaxMs, total.interfaceDrops)
  }
  const ledger = capture.ledger()
  same<typeof ledger, whole.Ledger>()
  same<ReturnType<typeof whole.ledgerMetrics>, whole.LedgerMetric[]>()
  for (const { place, kind, count, source } of ledger.rows) console.log(place, kind, count, source)
  const merged = await capture.snapshot<{ different: number }>()
  same<typeof merged, { different: number } | undefined>()
  await using stats: whole.ClosableIterator<whole.CaptureStats> = capture.stats()
  await stats.return()
  await using found = packets({ interface: 'eth0', whenFull: 'wait', queueBytes: 2 ** 20, count: 1 })
  for await (const packet of found) same<typeof packet, Packet>()
  same<Awaited<typeof found.summary>, CaptureSummary>()
  return capture.stop()
}

function count(): KernelCounters {
  using counting: KernelCount = countInKernel({ interface: ['eth0', 'eth1'], drop: true, exclusive: true, xdpMode: 'generic' })
  same<keyof KernelCounters['classes'], CountClass>()
  return counting.counters()
}

function load(eth0: whole.InterfaceCounters): [CpuLoad[], SoftnetCpu[], NicCounters] {
  return [cpuLoads(parseCpuTimes(''), readCpuTimes()), parseSoftnet(''), nicCounters('eth0', 'ixgbe', new Map(), eth0)]
}

async function flood(): Promise<FloodResult> {
  using testbed: Testbed = createTestbed({ queues: 2 })
  await using running = await startFlood({ ...testbed.sender, ratePps: 1000, durationMs: undefined })
  return running.finished
}

function tune(): AppliedTuning {
  const { host, interface: facts } = readTuning('eth0', { netns: 'blue' })
  const plan = planTuning(host, facts, { goal: 'capture', cpus: [0, 1], noSmt: true })
  same<typeof plan, TuningPlan>()
  for (const { change } of plan.steps) if (change.kind === 'interrupt') same<typeof change.value, number[]>()
  return applyTuning('eth0', { netns: 'blue', cpus: undefined, yesIMayLoseThisLink: true })
}

function facts(): [HostFacts, InterfaceFacts, UnreadFact[], string] {
  const eth0 = readInterfaceFacts('eth0', { netns: 'blue' })
  return [readHostFacts(), eth0, eth0.unread, cpuListText(eth0.interrupts.flatMap(({ effective }) => effective ?? []))]
}

function size(): [CaptureSize, RingSimulation, Diagnosis] {
  const size = sizeCapture({ lineBitsPerSecond: 10e9, cores: 8, memoryBytes: 2 ** 34, backend: 'auto' })
  if ('blockBytes' in size.ring) same<typeof size.ring.blockCount, number>()
  const arrivals = { pattern: 'recorded', timesNs: new Float64Array(10) } as const
  return [size, simulateRing({ arrivals, queue: { slots: 10 }, serviceNs: 100 }), diagnoseHost({ interfaces: ['eth0'] })]
}

main({ interface: 'eth0' }).catch((error: unknown) => {
  if (error instanceof CaptureError) same<typeof error.code, CaptureErrorCode>()
})
export { count, facts, flood, handlers, load, size, stateless, tune, whole }
`

/** Lines that must not compile, each with what the compiler says. */
const WRONG: readonly (readonly [line: string, diagnostic: RegExp])[] = [
  ['void openCapture({})', /'interface' is missing/],
  ["void openCapture({ interface: 'eth0', blockTimeout: 20 })", /'blockTimeout' does not exist in type 'CaptureOptions'/],
  ["void openCapture({ interface: 'eth0', fanout: 'roundrobin' })", /'"roundrobin"' is not assignable/],
  ["void openCapture({ interface: 'eth0', workers: 'all' })", /'"all"' is not assignable/],
  ["void openCapture({ interface: 'eth0', durationMs: '10s' })", /'string' is not assignable to type 'number'/],
  ["packets({ interface: 'eth0', handler: './handler.js' })", /'handler' does not exist in type 'PacketsOptions'/],
  ["packets({ interface: 'eth0', whenFull: 'block' })", /'"block"' is not assignable/],
  ['defineHandler({ packet(p) { p.wireLength = 0 } })', /'wireLength' because it is a read-only property/],
  [
    'defineHandler({ open: () => new Map<string, number>(), packet: (p, m) => void m.set(p.vlanId, 1) })',
    /'number' is not assignable to parameter of type 'string'/,
  ],
  ['defineHandler({ open: () => 1, snapshot: (n) => String(n), merge: (a, b) => a.length + b.length })', /'number' is not assignable to type 'string'/],
  ["defineHandler({ open: (c) => c, packet: (_, c) => c.countDrops(1, 'ring') })", /'"ring"' is not assignable/],
  ["new CaptureError('NO_SUCH_CODE', '')", /'"NO_SUCH_CODE"' is not assignable/],
  ['export const kernel = (c: Capture) => c.counters().drops.kernel', /'kernel' does not exist on type 'Drops'/],
  ["void startFlood({ interface: 'veth0', kind: 'tcp' })", /'"tcp"' is not assignable/],
]
const IMPORTS =
  "import { type Capture, CaptureError, openCapture, packets } from 'ringtap'; import { defineHandler } from 'ringtap/handler'; import { startFlood } from 'ringtap/testbed'"

describe('the packed package', () => {
  let folder: string
  let consumer: string
  let packed: string[]
  let manifest: Manifest

  function run(command: string, ...argv: string[]): string {
    const { status, stdout, stderr, error } = spawnSync(command, argv, { cwd: consumer, encoding: 'utf8' })
    assert.equal(status, 0, `${command} ${argv.join(' ')}: ${error?.message ?? ''}${stdout}${stderr}`)
    return stdout
  }

  function compile(file: string, options: object): Compiled {
    const config = {
      compilerOptions: { strict: true, module: 'nodenext', skipLibCheck: false, noEmit: true, ...options },
      files: [file],
    }
    writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify(config))
    const { status, stdout, stderr } = spawnSync(tsc, ['--pretty', 'false', '-p', 'tsconfig.json'], { cwd: consumer, encoding: 'utf8' })
    return { status, output: stdout + stderr }
  }

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'ringtap-package-'))
    consumer = join(folder, 'consumer')
    mkdirSync(consumer)
    // NB: without scripts, for prepack builds, and dist is being read by the tests beside this one. They were built with it.
    const pack = spawnSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], { cwd: root, encoding: 'utf8' })
    assert.equal(pack.status, 0, pack.stderr)
    const [{ files, filename }] = JSON.parse(pack.stdout) as [{ files: { path: string }[]; filename: string }]
    packed = files.map(({ path }) => path)
    // Without scripts: neither ringtap nor koffi may need one, nor a compiler.
    run('npm', 'install', '--prefix', consumer, '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', join(folder, filename))
    manifest = JSON.parse(readFileSync(join(consumer, 'node_modules/ringtap/package.json'), 'utf8')) as Manifest
  })
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  test('holds what it should, and nothing else', () => {
    const top = (path: string) => (path.startsWith('bench/') ? path.split('/').slice(0, 2).join('/') : path.split('/', 1)[0])
    assert.deepEqual([...new Set(packed.map(top))].sort(), ['LICENSE', 'README.md', 'bench/reference', 'dist', 'docs', 'package.json'])
    assert.deepEqual(
      packed.filter((path) => /tsbuildinfo$|\.test\.|^test\/|(^|\/)\./.test(path)),
      [],
    )
    for (const path of ['docs/cli.md', 'docs/ladder.md', 'docs/library.md', 'bench/reference/twin.h']) assert.ok(packed.includes(path), path)
  })

  test('has every source compiled, and nothing of sources that are gone', () => {
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    const expected = sources.filter((path) => path.endsWith('.ts')).flatMap((path) => [path.replace(/ts$/, 'js'), path.replace(/ts$/, 'd.ts')])
    const compiled = packed.filter((path) => path.startsWith('dist/') && !path.endsWith('.map')).map((path) => path.slice('dist/'.length))
    assert.deepEqual(compiled.sort(), expected.sort(), 'npm run clean && npm run build')
  })

  test('needs koffi alone, and runs nothing when it is installed', () => {
    assert.deepEqual(Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies }), ['koffi'])
    const scripts = Object.keys(manifest.scripts ?? {})
    assert.deepEqual(
      scripts.filter((name) => ['preinstall', 'install', 'postinstall', 'prepare'].includes(name)),
      [],
    )
    const installed = readdirSync(join(consumer, 'node_modules')).filter((name) => !name.startsWith('.'))
    assert.deepEqual(installed.sort(), ['@koromix', 'koffi', 'ringtap'])
  })

  test('npx ringtap --version prints the version', () => {
    assert.equal(run('npx', '--yes=false', 'ringtap', '--version'), `ringtap ${manifest.version}\n`)
  })

  test('its entries can be imported, and required; the rest is private', () => {
    const names = (entry: string) => JSON.parse(run(process.execPath, '-e', `import('${entry}').then((m) => console.log(JSON.stringify(Object.keys(m))))`))
    for (const name of ['openCapture', 'packets', 'planCapture', 'CaptureError', 'defineHandler']) assert.ok(names('ringtap').includes(name), name)
    assert.deepEqual(names('ringtap/handler'), ['defineHandler'])
    assert.deepEqual(names('ringtap/reader'), ['CAPTURE_ERROR_CODES', 'CaptureError', 'captureFileInfo', 'mergeCaptureFiles', 'openCaptureFile'])
    for (const name of ['applyTuning', 'cpuListText', 'planTuning', 'readHostFacts', 'readInterfaceFacts', 'readTuning', 'revertTuning'])
      assert.ok(names('ringtap/host').includes(name), name)
    assert.deepEqual(names('ringtap/testbed'), ['createTestbed', 'startFlood'])
    assert.deepEqual(names('ringtap/text'), ['PacketText', 'packetDocument', 'packetLinkType'])
    assert.equal(run(process.execPath, '--no-warnings', '-p', "typeof require('ringtap').openCapture"), 'function\n')
    const inner = "import('ringtap/dist/capture/open.js').catch((error) => console.log(error.code))"
    assert.equal(run(process.execPath, '-e', inner), 'ERR_PACKAGE_PATH_NOT_EXPORTED\n')
  })

  describe('types', () => {
    before(() => {
      writeFileSync(join(consumer, 'consumer.mts'), CONSUMER)
      writeFileSync(join(consumer, 'wrong.mts'), `${IMPORTS}\n${WRONG.map(([line]) => line).join('\n')}\n`)
      const types = join(consumer, 'node_modules/@types')
      mkdirSync(types, { recursive: true })
      symlinkSync(join(root, 'node_modules/@types/node'), join(types, 'node'))
    })

    for (const exactOptionalPropertyTypes of [true, false]) {
      for (const [given, options] of Object.entries({
        'without @types/node': { types: [] },
        'with @types/node': { types: ['node'] },
        'with @types/node, es2022 and no DOM': { types: ['node'], target: 'es2022', lib: ['es2022'] },
      })) {
        test(`compile ${given}, exactOptionalPropertyTypes ${exactOptionalPropertyTypes}`, () => {
          assert.deepEqual(compile('consumer.mts', { ...options, exactOptionalPropertyTypes }), { status: 0, output: '' })
        })
      }
    }

    test('wrong use does not compile', () => {
      const { status, output } = compile('wrong.mts', { types: ['node'] })
      assert.notEqual(status, 0)
      for (const [index, [line, diagnostic]] of WRONG.entries()) {
        // A diagnostic goes on in indented lines.
        const said = new RegExp(`^wrong\\.mts\\(${index + 2},.*(\\n +.*)*`, 'm').exec(output)?.[0] ?? ''
        assert.match(said, diagnostic, `${line}\n${said}`)
      }
      assert.equal(output.match(/^\S.*error TS/gm)?.length, WRONG.length, output)
    })
  })

  test('a handler in TypeScript keeps its types when it is declared', () => {
    const source =
      "import { defineHandler } from 'ringtap/handler'\nexport default defineHandler({ open: () => new Map<string, number>(), snapshot: (m) => m.size })\n"
    writeFileSync(join(consumer, 'declared.mts'), source)
    const { status, output } = compile('declared.mts', { types: [], noEmit: false, declaration: true, emitDeclarationOnly: true })
    assert.equal(status, 0, output)
    assert.match(readFileSync(join(consumer, 'declared.d.mts'), 'utf8'), /Handler<Map<string, number>, number>/)
  })
})
