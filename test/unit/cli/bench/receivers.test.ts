import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { chooseRungs } from '#src/cli/bench/command.js'
import { parseOurLine } from '#src/cli/bench/ours.js'
import { account, wireLosses } from '#src/cli/bench/run.js'
import { isCapture, LINE_RATE_10G, RUNG_NAMES, RUNGS, receiverArguments, rungWorkers } from '#src/cli/bench/rungs.js'
import { compileTwins, parseTwinLine } from '#src/cli/bench/twin.js'
import { parseArguments } from '#src/cli/parse.js'

const [recv, , , ringFanout, xdp, xdpGeneric, kernelCount] = RUNGS
const CORES = { cores: 8, queues: 4 }

test('our own lines are read', () => {
  assert.deepEqual(parseOurLine('{"type":"start"}'), { ready: true })
  assert.deepEqual(parseOurLine('{"type":"interval","packetsPerSecond":12,"dropsPerSecond":3}'), { interval: { received: 12, dropped: 3 } })
  assert.deepEqual(parseOurLine('{"type":"summary","packets":10,"drops":{"ring":2,"socket":0,"unread":1},"dropped":3}'), {
    totals: { received: 10, drops: { ring: 2, socket: 0, unread: 1 } },
  })
  assert.deepEqual(parseOurLine('{"type":"interval","packetsPerSecond":12}'), { interval: { received: 12, dropped: 0 } }, 'a count loses nothing')
  assert.deepEqual(parseOurLine('{"type":"summary","packets":10}'), { totals: { received: 10, drops: {} } })
  assert.deepEqual(parseOurLine('{"type":"event","event":"interface-down"}'), {})
  assert.deepEqual(parseOurLine('not JSON'), {})
})

test("the twins' lines are read, their drops by place", () => {
  assert.deepEqual(parseTwinLine('ready'), { ready: true })
  assert.deepEqual(parseTwinLine('{"packets":5,"bytes":300,"offered":10,"drops":5,"lost":{"fillRing":2,"oversize":0,"rxRing":3},"freezes":0}'), {
    totals: { received: 5, drops: { fillRing: 2, oversize: 0, rxRing: 3 } },
  })
  assert.deepEqual(parseTwinLine('{"packets":5,"bytes":300,"offered":7,"drops":2}'), {}, 'drops at no place are no account')
  assert.deepEqual(parseTwinLine('{"packets":'), {})
})

test('what a native XDP program could hand to no socket is counted by the driver as well, and once in the account', () => {
  const wire = { wire: 10, interface: 7 }
  const drops = { fillRing: 4, rxRing: 1, oversize: 1, redirect: 0, unread: 5, handler: 0 }
  assert.deepEqual(account(100, wire, { received: 78, drops }, xdp.inDriver), {
    offered: 100,
    received: 78,
    drops: { wire: 10, interface: 1, ...drops },
    unaccounted: 0,
  })
  // In generic mode it is no driver's.
  assert.equal(account(100, { wire: 10, interface: 0 }, { received: 79, drops }, xdpGeneric.inDriver).unaccounted, 0)
  assert.equal(account(100, { wire: 10, interface: 3 }, { received: 76, drops }, xdpGeneric.inDriver).unaccounted, 0)
  assert.deepEqual(account(20, { wire: 0, interface: 2 }, { received: 9, drops }, xdp.inDriver).drops.interface, 0, 'never less than nothing')
  for (const rung of [recv, ringFanout, kernelCount]) assert.deepEqual(rung.inDriver.drops, [])
})

test('what is neither received nor in a counter is unaccounted, and so is what was never offered', () => {
  assert.equal(account(100, { wire: 10, interface: 5 }, { received: 80, drops: { ring: 5 } }, recv.inDriver).unaccounted, 0)
  assert.equal(account(100, { wire: 10, interface: 5 }, { received: 80, drops: { ring: 2 } }, recv.inDriver).unaccounted, 3)
  assert.equal(account(100, { wire: 0, interface: 0 }, { received: 101, drops: {} }, recv.inDriver).unaccounted, -1)
})

test('losses on the wire are differences, over all counters of the driver', () => {
  const before = { sent: 10, refused: 2, received: 10, receiverDrops: { drops: 1 } }
  const after = { sent: 30, refused: 7, received: 30, receiverDrops: { drops: 2, xdp_drops: 3 } }
  assert.deepEqual(wireLosses(before, after, recv.inDriver), { wire: 5, interface: 4 })
  assert.deepEqual(wireLosses(before, after, kernelCount.inDriver), { wire: 5, interface: 1 }, 'what was counted and then dropped is not lost')
})

test('each rung is a command that one would type, with the workers that it has', () => {
  const typed = (rung: (typeof RUNGS)[number]) => {
    const workers = rungWorkers(rung, CORES)
    return [workers, receiverArguments(rung, workers, 'rx', '/proc/1/fd/3').join(' ')]
  }
  const output = '--interval 200ms --json'
  assert.deepEqual(RUNGS.map(typed), [
    [1, `capture -i rx --netns /proc/1/fd/3 --backend recv --workers 1 ${output}`],
    [8, `capture -i rx --netns /proc/1/fd/3 --backend recv --workers 8 --fanout cpu ${output}`],
    [1, `capture -i rx --netns /proc/1/fd/3 --backend ring --workers 1 ${output}`],
    [8, `capture -i rx --netns /proc/1/fd/3 --backend ring --workers 8 --fanout cpu ${output}`],
    [4, `capture -i rx --netns /proc/1/fd/3 --backend xdp --exclusive ${output}`],
    [4, `capture -i rx --netns /proc/1/fd/3 --backend xdp --exclusive --xdp-mode generic ${output}`],
    [0, `count -i rx --netns /proc/1/fd/3 --drop ${output}`],
  ])
})

test('every rung of ours is a command line that ringtap takes, and --rungs has them all by default', () => {
  for (const rung of RUNGS) assert.equal(parseArguments(receiverArguments(rung, 2, 'rx', 'x')).run, rung.command)
  const bench = parseArguments(['bench'])
  assert.ok(bench.run === 'bench')
  assert.deepEqual(bench.values.rungs, RUNG_NAMES)
})

test('only counting in the kernel captures nothing', () => {
  assert.deepEqual(
    RUNG_NAMES.filter((name) => !isCapture(name)),
    ['kernel count'],
  )
})

const compiler = spawnSync('cc', ['--version']).status === 0
const skip = compiler || process.env.CI === 'true' ? false : 'no C compiler: install gcc to compile the twins'

test('a twin is started with the options of its rung; a rung without one has none', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-twins-'))
  try {
    const twins = await compileTwins([ringFanout, xdp, xdpGeneric, kernelCount], folder, new AbortController().signal)
    const program = twins.program(xdpGeneric, 4, 'rx', '/proc/1/fd/3')
    assert.deepEqual([program?.name, program?.command], ['xdp.c -g', 'nsenter'])
    assert.deepEqual(program?.arguments, ['--net=/proc/1/fd/3', join(folder, 'xdp'), '-i', 'rx', '-g'])
    assert.equal(twins.program(ringFanout, 8, 'rx', 'x')?.name, 'ring.c -w 8')
    assert.ok(statSync(join(folder, 'xdp')).mode & 0o100)
    assert.deepEqual([program?.inDriver.drops, twins.program(xdp, 4, 'rx', 'x')?.inDriver], [[], xdp.inDriver])
    assert.equal(twins.program(kernelCount, 0, 'rx', 'x'), undefined)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('rungs are taken in the order of the ladder; an unknown one is refused by name', () => {
  assert.deepEqual(
    chooseRungs(['kernel count', 'xdp', 'recv']).map((rung) => rung.name),
    ['recv', 'xdp', 'kernel count'],
  )
  assert.throws(() => chooseRungs(['ring', 'netmap']), /no rung 'netmap'/)
})

test('10G line rate is 14.88 Mpps', () => {
  assert.equal((LINE_RATE_10G / 1e6).toFixed(2), '14.88')
})
