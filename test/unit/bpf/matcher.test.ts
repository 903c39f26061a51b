import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { PerformanceObserver } from 'node:perf_hooks'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Instruction, validateProgram } from '#src/bpf/classic.js'
import { formatProgram } from '#src/bpf/classic-text.js'
import { type Ancillary, interpret } from '#src/bpf/interpret.js'
import { compileMatcher, matcherSource } from '#src/bpf/matcher.js'
import { EXPRESSIONS, randomExpression, randomProgram, tcpdumpProgram } from '../../support/classic-programs.js'
import { randomFrame } from '../../support/filter-packets.js'
import { assertGolden } from '../../support/golden.js'
import { type Random, seededRandom } from '../../support/random.js'

/** `tcpdump -ddd 'tcp port 80 or vlan 5'`, with the tag in the packet. */
const PROGRAM: readonly Instruction[] = [
  [40, 0, 0, 12],
  [21, 0, 6, 34525],
  [48, 0, 0, 20],
  [21, 0, 17, 6],
  [40, 0, 0, 54],
  [21, 18, 0, 80],
  [40, 0, 0, 56],
  [21, 16, 13, 80],
  [21, 0, 9, 2048],
  [48, 0, 0, 23],
  [21, 0, 10, 6],
  [40, 0, 0, 20],
  [69, 8, 0, 8191],
  [177, 0, 0, 14],
  [72, 0, 0, 14],
  [21, 8, 0, 80],
  [72, 0, 0, 16],
  [21, 6, 3, 80],
  [21, 2, 0, 33024],
  [21, 1, 0, 34984],
  [21, 0, 4, 37120],
  [40, 0, 0, 14],
  [84, 0, 0, 4095],
  [21, 0, 1, 5],
  [6, 0, 0, 262144],
  [6, 0, 0, 0],
]

test('the function of a program, line by line', () => {
  assertGolden('unit/bpf/golden/matcher.txt', matcherSource(PROGRAM).split('\n'))
})

function randomAncillary(random: Random): Ancillary | undefined {
  if (random.oneIn(4)) return undefined
  return {
    protocol: random.pick([0x0800, 0x86dd]),
    packetType: random.between(0, 4),
    interfaceIndex: random.word(),
    mark: random.word(),
    queue: random.between(0, 9),
    hardwareType: 1,
    rxhash: random.word(),
    cpu: random.between(0, 3),
    hasVlan: random.oneIn(2),
    vlanTci: random.between(0, 0xffff),
    vlanTpid: 0x8100,
    payloadOffset: random.oneIn(3) ? undefined : random.between(0, 60),
    random: random.word(),
    networkOffset: random.oneIn(2) ? undefined : random.between(0, 22),
  }
}

/** Compares on so many packets; answers how many were accepted. */
function assertSame(random: Random, program: readonly Instruction[], packets: number, what = ''): number {
  const matches = compileMatcher(program)
  let accepted = 0
  for (let round = 0; round < packets; round++) {
    const frame = randomFrame(random)
    const offset = random.between(0, 20)
    // What stands around the packet must not be read.
    const bytes = random.bytes(offset + frame.length + random.between(0, 8))
    bytes.set(frame, offset)
    const wireLength = frame.length + (random.oneIn(2) ? 0 : random.between(0, 2000))
    const ancillary = randomAncillary(random)
    const expected = interpret(program, bytes, offset, frame.length, wireLength, ancillary)
    const answer = matches(bytes, offset, frame.length, wireLength, ancillary)
    if (expected !== 0) accepted++
    if (answer === expected) continue
    const packet = `${Buffer.from(frame).toString('hex')} of ${wireLength}, ${JSON.stringify(ancillary)}`
    assert.equal(answer, expected, `${what}\n${formatProgram(program, 'd')}${packet}\n${matcherSource(program)}`)
  }
  return accepted
}

const ANCILLARY = [0, 4, 8, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60]

describe('answers what the interpreter answers', () => {
  test('random programs', (t) => {
    const random = seededRandom(t)
    let accepted = 0
    const programs = 2000
    const packets = 15
    for (let round = 0; round < programs; round++) {
      const program = randomProgram(random, { ancillary: ANCILLARY, headerOffsets: true, maxLength: random.oneIn(40) ? 400 : 40 })
      validateProgram(program)
      accepted += assertSame(random, program, packets)
    }
    t.diagnostic(`${programs * packets} pairs, ${accepted} accepted`)
    assert.ok(accepted > (programs * packets) / 20 && accepted < (programs * packets * 19) / 20, `${accepted}`)
  })

  test("tcpdump's programs", (t) => {
    if (spawnSync('tcpdump', ['--version']).status !== 0 && process.env.CI !== 'true') return t.skip('no tcpdump')
    const random = seededRandom(t)
    let programs = 0
    let accepted = 0
    for (const expression of [...EXPRESSIONS, ...Array.from({ length: 80 }, () => randomExpression(random))]) {
      const program = tcpdumpProgram(expression)
      if (program === undefined || !isForTheKernel(program)) continue
      programs++
      accepted += assertSame(random, program, 200, expression)
    }
    t.diagnostic(`${programs} programs, ${programs * 200} pairs, ${accepted} accepted`)
    assert.ok(programs > 100 && accepted > programs * 10, `${programs} ${accepted}`)
  })
})

/** libpcap makes some that the kernel refuses: those of protochain jump back, and those of geneve may read memory that was not written. */
function isForTheKernel(program: readonly Instruction[]): boolean {
  try {
    validateProgram(program)
    return true
  } catch {
    return false
  }
}

describe('the length is looked at once', () => {
  const looks = (program: readonly Instruction[]) => matcherSource(program).match(/captured( - X)? < \d+/g) ?? []

  test('for all that every accepting way reads', () => {
    assert.deepEqual(
      looks([
        [0x28, 0, 0, 12],
        [0x15, 0, 3, 0x0800],
        [0x30, 0, 0, 23],
        [0x15, 0, 1, 6],
        [0x06, 0, 0, 1],
        [0x06, 0, 0, 0],
      ]),
      ['captured < 24'],
    )
  })

  test('on each way as far as it reads', () => {
    assert.deepEqual(
      looks([
        [0x28, 0, 0, 12],
        [0x15, 0, 2, 0x0800],
        [0x30, 0, 0, 23],
        [0x16, 0, 0, 0],
        [0x30, 0, 0, 40],
        [0x16, 0, 0, 0],
      ]),
      ['captured < 24', 'captured < 41'],
    )
  })

  test('behind X until X changes', () => {
    assert.deepEqual(
      looks([
        [0xb1, 0, 0, 14],
        [0x48, 0, 0, 16],
        [0x02, 0, 0, 0],
        [0x48, 0, 0, 14],
        [0xb1, 0, 0, 15],
        [0x50, 0, 0, 14],
        [0x16, 0, 0, 0],
      ]),
      ['captured < 16', 'captured - X < 18', 'captured - X < 15'],
    )
  })

  test('not at all where nothing is accepted', () => {
    assert.match(
      matcherSource([
        [0x28, 0, 0, 12],
        [0x15, 0, 0, 5],
        [0x06, 0, 0, 0],
      ]),
      /\{\nreturn 0\n\}$/,
    )
  })
})

/** `count` places behind each other, into each of which a comparison jumps, the first one into the last. */
function ladder(count: number): Instruction[] {
  const comparisons = Array.from({ length: count }, (_, rung): Instruction => [0x15, 2 * (count - rung) - 1, 0, rung])
  const places = Array.from({ length: count }, (_, rung): Instruction => [0x04, 0, 0, rung])
  return [[0x30, 0, 0, 0], ...comparisons, [0x06, 0, 0, 0], ...places, [0x54, 0, 0, 0x7f], [0x16, 0, 0, 0]]
}

describe('large programs', () => {
  test('what would be nested too deeply becomes a switch', (t) => {
    const random = seededRandom(t)
    for (const count of [2, 20, 120]) {
      const program = ladder(count)
      // The first place has one way to it.
      assert.equal(matcherSource(program).match(/L\d+: \{/g)?.length, count - 1)
      assertSame(random, program, 300)
    }
    // Each jumps about 120 ahead, where others jump to as well.
    const large: Instruction[] = Array.from({ length: 4000 }, (_, rung) => [0x45, 120 + (rung % 7), 0, 1 << (rung % 8)] as Instruction)
    const program: Instruction[] = [[0x30, 0, 0, 0], ...large]
    while (program.length < 4095) program.push([0x04, 0, 0, program.length])
    for (let index = 1; index < 4095; index++) {
      const [code, jt, jf, k] = program[index]
      if (code === 0x45 && index + 1 + jt > 4095) program[index] = [code, 4095 - index - 1, jf, k]
    }
    program.push([0x16, 0, 0, 0])
    validateProgram(program)
    assert.match(matcherSource(program), /switch/)
    assertSame(random, program, 300)
  })

  test('random ones of up to 4096 instructions, in bounded time', (t) => {
    const random = seededRandom(t)
    for (let round = 0; round < 6; round++) {
      const program = randomProgram(random, { maxLength: 4096 })
      const start = performance.now()
      compileMatcher(program)
      const took = performance.now() - start
      assert.ok(took < 2000, `${took} ms for ${program.length} instructions`)
      assertSame(random, program, 20)
    }
  })

  test('a chain of 4000 addresses', (t) => {
    const random = seededRandom(t)
    const program: Instruction[] = [[0x20, 0, 0, 26]]
    for (let n = 0; n < 4000; n++) {
      program.push([0x15, 0, 1, 0x0a00_0000 + n * 7], [0x06, 0, 0, n + 1])
      if (program.length >= 4094) break
    }
    program.push([0x06, 0, 0, 0])
    const matches = compileMatcher(program)
    const packet = new Uint8Array(60)
    for (let round = 0; round < 200; round++) {
      const n = random.between(0, 2100)
      new DataView(packet.buffer).setUint32(26, 0x0a00_0000 + n * 7)
      assert.equal(matches(packet, 0, 60, 60), interpret(program, packet, 0, 60, 60))
      assert.equal(matches(packet, 0, 60, 60), n < (program.length - 2) / 2 ? n + 1 : 0)
    }
  })
})

test('where no code may be made from text, it interprets', () => {
  const script = `
    import { compileMatcher } from '${import.meta.resolve('#src/bpf/matcher.js')}'
    const packet = new Uint8Array(60).fill(0)
    packet.set([8, 0, 0x45], 12)
    packet[23] = 17
    const program = ${JSON.stringify([
      [40, 0, 0, 12],
      [21, 0, 3, 2048],
      [48, 0, 0, 23],
      [21, 0, 1, 17],
      [6, 0, 0, 96],
      [6, 0, 0, 0],
    ])}
    const matches = compileMatcher(program)
    program.length = 0
    console.log(matches(packet, 0, 60, 60), matches(packet, 1, 59, 59), matches(packet, 0, 23, 60))
  `
  const run = (...flags: string[]) => execFileSync(process.execPath, [...flags, '--input-type=module', '-e', script], { encoding: 'utf8' })
  assert.equal(run('--disallow-code-generation-from-strings'), '96 0 0\n')
  assert.equal(run(), '96 0 0\n')
})

test('what is no program is refused', () => {
  for (const program of [[], [[0x00, 0, 0, 1]], [[0x15, 9, 9, 1]], [[0x06, 0, 0, Number.NaN]]]) {
    assert.throws(() => compileMatcher(program as unknown as Instruction[]), { code: 'INVALID_OPTION' })
  }
})

test('no allocation', async (t) => {
  const random = seededRandom(t)
  const matches = compileMatcher(PROGRAM)
  const withAncillary = compileMatcher([
    [0x30, 0, 0, 0xffff_f030],
    [0x15, 0, 1, 1],
    [0x20, 0, 0, 26],
    [0x06, 0, 0, 1],
  ])
  const frames = Array.from({ length: 64 }, () => randomFrame(random, 60))
  const ancillary: Ancillary = { hasVlan: true }
  const run = (rounds: number) => {
    let accepted = 0
    for (let round = 0; round < rounds; round++) {
      for (const frame of frames) {
        if (matches(frame, 0, frame.length, frame.length) !== 0) accepted++
        if (interpret(PROGRAM, frame, 0, frame.length, frame.length) !== 0) accepted++
        if (withAncillary(frame, 0, frame.length, frame.length, ancillary) !== 0) accepted++
      }
    }
    return accepted
  }
  run(2000)
  let collections = 0
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length
  })
  observer.observe({ entryTypes: ['gc'] })
  await sleep(50)
  const before = collections
  run(60_000)
  await sleep(50)
  observer.disconnect()
  // 16 bytes a call would fill the young generation ten times; what is collected of V8's own is once or twice.
  assert.ok(collections - before <= 3, `${collections - before} collections`)
})
