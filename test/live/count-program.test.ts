/** The counting programs in the kernel, on frames that come from nowhere: what they count is what the documentation says of each. */
import assert from 'node:assert/strict'
import { release } from 'node:os'
import { describe } from 'node:test'
import { COUNT, COUNT_CLASSES, COUNT_MAP, countProgram } from '#src/bpf/count-program.js'
import { assemble } from '#src/bpf/ebpf.js'
import { BPF_F_XDP_HAS_FRAGS } from '#src/kernel/abi/bpf.js'
import { XDP_DROP, XDP_MD, XDP_PASS } from '#src/kernel/abi/ebpf.js'
import { BpfMap } from '#src/kernel/bpf-map.js'
import { loadProgram, runProgram } from '#src/kernel/bpf-program.js'
import { openKernel } from '#src/kernel/system.js'
import { COUNT_FRAMES, classOf, randomCountFrame } from '../support/count-frames.js'
import { live } from '../support/live.js'
import { seededRandom } from '../support/random.js'

/** BPF_PROG_RUN takes no shorter ones. */
const MIN_BYTES = 14

/** Runs a program, and tells what it counted meanwhile, summed over the CPUs. */
class Trial implements Disposable {
  readonly #kernel = openKernel()
  readonly #map = BpfMap.create(this.#kernel, COUNT_MAP)
  readonly #program
  readonly #value = new Uint8Array(this.#map.valueSize)
  #before = this.#read()

  constructor(action: 'pass' | 'drop', multiBuffer: boolean) {
    const code = assemble(countProgram({ action, multiBuffer }), { counts: this.#map.fd })
    this.#program = loadProgram(this.#kernel, { name: COUNT_MAP.name, type: 'xdp', code, flags: multiBuffer ? BPF_F_XDP_HAS_FRAGS : 0 })
  }

  run(frame: Uint8Array, firstBytes?: number): { answer: number; counted: object[] } {
    const context = firstBytes === undefined ? undefined : new Uint8Array(XDP_MD.sizeof)
    if (context !== undefined) new DataView(context.buffer).setUint32(XDP_MD.data_end, firstBytes as number, true)
    const { retval: answer } = runProgram(this.#kernel, this.#program.fd, { data: frame, context })
    const before = this.#before
    const now = this.#read()
    this.#before = now
    const counted = COUNT_CLASSES.flatMap((name, index) => {
      const [packets, bytes] = [COUNT.packets, COUNT.bytes].map((word) => (now[index]?.[word] ?? 0) - (before[index]?.[word] ?? 0))
      return packets === 0 && bytes === 0 ? [] : [{ name, packets, bytes }]
    })
    return { answer, counted }
  }

  #read(): number[][] {
    return COUNT_CLASSES.map((_, index) => {
      assert.ok(this.#map.lookup(index, this.#value))
      const words = new BigUint64Array(this.#value.buffer)
      return [COUNT.packets, COUNT.bytes].map((word) => Number(words.reduce((sum, value, at) => (at % COUNT.words === word ? sum + value : sum), 0n)))
    })
  }

  [Symbol.dispose](): void {
    this.#program.close()
    this.#map.close()
  }
}

for (const multiBuffer of [false, true]) {
  describe(multiBuffer ? 'for frames in several buffers' : 'for frames in one buffer', () => {
    for (const action of ['pass', 'drop'] as const) {
      live(`every class, cut anywhere, and random: ${action}`, (t) => {
        using trial = new Trial(action, multiBuffer)
        const random = seededRandom(t)
        const check = (frame: Uint8Array, expected: string) => {
          const shown = Buffer.from(frame).toString('hex')
          assert.deepEqual(
            trial.run(frame),
            { answer: action === 'drop' ? XDP_DROP : XDP_PASS, counted: [{ name: expected, packets: 1, bytes: frame.length }] },
            shown,
          )
        }
        for (const { frame, expected } of COUNT_FRAMES) check(frame, expected)
        for (const { frame } of COUNT_FRAMES.filter((it) => it.frame.length < 100 && action === 'pass')) {
          for (let length = MIN_BYTES; length < frame.length; length++) check(frame.slice(0, length), classOf(frame.slice(0, length)))
        }
        for (let i = 0; i < 5000; i++) {
          const frame = randomCountFrame(random, MIN_BYTES)
          check(frame, classOf(frame))
        }
      })
    }
  })
}

live('a frame that fills several buffers counts with all its bytes', () => {
  using trial = new Trial('pass', true)
  for (const { name, frame, expected } of COUNT_FRAMES.filter((it) => it.name.endsWith('longer'))) {
    const jumbo = new Uint8Array(9000).fill(0x5a)
    jumbo.set(frame)
    assert.deepEqual(trial.run(jumbo).counted, [{ name: expected, packets: 1, bytes: 9000 }], name)
  }
})

live('what is not in the first buffer is found in the others', (t) => {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (major < 6 || (major === 6 && minor < 18)) return t.skip('BPF_PROG_RUN takes the length of the first buffer since Linux 6.18')
  using trial = new Trial('pass', true)
  const random = seededRandom(t)
  for (let i = 0; i < 5000; i++) {
    const frame = randomCountFrame(random, MIN_BYTES)
    const firstBytes = random.between(MIN_BYTES, frame.length)
    assert.deepEqual(
      trial.run(frame, firstBytes).counted,
      [{ name: classOf(frame), packets: 1, bytes: frame.length }],
      `${firstBytes} of ${Buffer.from(frame).toString('hex')}`,
    )
  }
})
