/** The worker's loop over a fabricated ring, in this thread: what it delivers, counts and answers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ABANDON, Budget, Control, controlMemory, STOP } from '#src/capture/control.js'
import { addTo, COUNTER, CounterWriter, countersMemory, readCounters } from '#src/capture/counters.js'
import { GivenUp } from '#src/capture/given-up.js'
import type { InterfaceWatch } from '#src/capture/interface-watch.js'
import { Loop } from '#src/capture/loop.js'
import type { Handler, PacketView } from '#src/handler.js'
import { POLLFD, POLLIN } from '#src/kernel/abi/process.js'
import type { Block } from '#src/packet/block.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { noStatistics, type Source } from '#src/source/source.js'
import { fakeKernel } from '../../support/fake-kernel.js'
import { KernelRing } from '../../support/ring-memory.js'

interface SetUp {
  handler?: Handler
  budget?: number
  blocks?: number
  /** Called each time that the loop waits; it must end the loop some time. With `true` the source is ready. */
  onWait?: () => unknown
  /** As a worker before this one left them. */
  before?: Partial<Record<keyof typeof COUNTER, number>>
}

function setUp({ handler = {}, budget, blocks = 8, onWait, before = {} }: SetUp) {
  const ring = new KernelRing({ blockBytes: 4096, blockCount: blocks })
  const reader = new Tpacket3Ring(ring.memory, ring.geometry)
  const kernel = fakeKernel()
  const control = new Control(controlMemory(1), 0)
  kernel.answer('poll', (pollfds) => {
    if (onWait === undefined) control.send(STOP)
    const isReady = onWait?.() === true
    new DataView(pollfds.buffer).setInt16(POLLFD.revents, isReady ? POLLIN : 0, true)
    return isReady ? 1 : 0
  })
  const total = noStatistics()
  let isOut = false
  const source: Source = {
    fd: 5,
    coalesceMs: 0,
    peek() {
      const block = reader.peek()
      isOut = block !== undefined
      return block
    },
    release() {
      isOut = false
      reader.release()
    },
    inHand: () => 1,
    passBy: () => 0,
    resync: () => reader.resync(),
    peekUnfinished: (packets) => reader.peekUnfinished(packets),
    account: {
      closeGate() {},
      read() {
        const { packets, drops, freezes } = ring.readStatistics()
        total.offered += packets
        total.drops.ring += drops
        total.freezes += freezes
        return total
      },
    },
    left: () => undefined,
    takeError: () => 0,
    close: () => {},
  }
  const memory = countersMemory(1)
  const counters = new CounterWriter(memory, 0)
  for (const [name, value] of Object.entries(before)) counters.values[COUNTER[name as keyof typeof COUNTER]] = value
  const answered: number[] = []
  // As a worker has it.
  const givenUp = new GivenUp(0, (packets, why) => {
    addTo(counters.values, why === 'handler' ? COUNTER.dropHandler : COUNTER.dropConsumer, packets)
    addTo(counters.values, COUNTER.packets, -packets)
  })
  const loop = new Loop({
    givenUp,
    kernel,
    source,
    wakeFd: 6,
    control,
    counters,
    budget: budget === undefined ? undefined : new Budget(Budget.memory(budget)),
    handler,
    state: undefined,
    watch: { tick() {}, pendingError() {}, socketError() {} } as unknown as InterfaceWatch,
    answerSnapshot(asked) {
      assert.ok(!isOut, 'a block is out')
      answered.push(asked)
    },
  })
  let sent = 0
  const send = (count: number, length = 60) => {
    for (let i = 0; i < count; i++) {
      const bytes = new Uint8Array(length)
      new DataView(bytes.buffer).setUint32(14, sent++)
      ring.receive({ bytes })
    }
  }
  const counter = (name: keyof typeof COUNTER) => readCounters(memory, 0)[COUNTER[name]]
  const assertEven = () => {
    const drops = counter('dropRing') + counter('dropHandler') + counter('dropConsumer') + counter('dropUnread')
    assert.equal(counter('packets') + drops, counter('offered'))
    assert.equal(counter('offered'), sent)
  }
  return { ring, loop, control, send, counter, assertEven, answered, countDrops: givenUp.count }
}

const numberOf = (p: PacketView) => new DataView(p.copy().buffer).getUint32(14)

test('delivers block after block, in order, and counts', () => {
  const seen: number[] = []
  const { loop, send, ring, counter, assertEven } = setUp({ handler: { packet: (p) => seen.push(numberOf(p)) as unknown as undefined } })
  send(50)
  send(3, 500)
  ring.retire()
  assert.equal(loop.run(), 'stopped')
  loop.settle(true)
  assert.deepEqual(
    seen,
    Array.from({ length: 53 }, (_, i) => i),
  )
  assert.deepEqual([counter('packets'), counter('bytes'), counter('handlerSinceMs')], [53, 50 * 60 + 1500, 0])
  assertEven()
})

test('what the kernel still holds in an unfinished block is delivered at the end', () => {
  const seen: number[] = []
  const { loop, send, control, assertEven } = setUp({ handler: { packet: (p) => seen.push(numberOf(p)) as unknown as undefined } })
  send(60)
  control.send(STOP)
  assert.equal(loop.run(), 'stopped')
  loop.settle(true)
  assert.equal(seen.length, 60)
  assertEven()
})

test('abandoned, it delivers nothing more and counts the rest as unread', () => {
  const { loop, send, control, counter, assertEven } = setUp({})
  send(60)
  control.send(ABANDON)
  loop.run()
  loop.settle(true)
  assert.deepEqual([counter('packets'), counter('dropUnread')], [0, 60])
  assertEven()
})

describe('a budget', () => {
  for (const kind of ['packet', 'block', 'counting'] as const) {
    test(`is kept to the packet, ${kind}`, () => {
      let handled = 0
      const handler: Handler =
        kind === 'packet'
          ? {
              packet: () => {
                handled++
              },
            }
          : kind === 'block'
            ? {
                block: (b) => {
                  handled += b.packetCount
                },
              }
            : {}
      const { loop, send, ring, counter, assertEven } = setUp({ handler, budget: 33 })
      send(60)
      ring.retire()
      assert.equal(loop.run(), 'count')
      loop.settle(false)
      assert.equal(counter('packets'), 33)
      if (kind !== 'counting') assert.equal(handled, 33)
      assertEven()
    })
  }

  test('holds after a stop, too: what is left in the ring is not on top of it', () => {
    const { loop, send, ring, control, counter, assertEven } = setUp({ budget: 10 })
    send(100)
    ring.retire()
    control.send(STOP)
    assert.equal(loop.run(), 'stopped')
    loop.settle(true)
    assert.equal(counter('packets'), 10)
    assertEven()
  })
})

describe('snapshots', () => {
  test('one that was asked for before the loop began to run is answered', () => {
    const { loop, control, answered, send, ring } = setUp({})
    assert.equal(control.askSnapshot(), 1)
    send(5)
    ring.retire()
    loop.run()
    assert.deepEqual(answered, [1])
  })

  test('several at once are answered once, by the last number', () => {
    let waits = 0
    const it = setUp({
      onWait: () => {
        waits++
        if (waits === 1) for (let i = 0; i < 3; i++) it.control.askSnapshot()
        if (waits === 3) it.control.send(STOP)
      },
    })
    it.loop.run()
    assert.deepEqual(it.answered, [3])
  })

  test('they are answered while no block is out, also when one is seen on waiting', () => {
    let waits = 0
    const it = setUp({
      onWait: () => {
        waits++
        if (waits > 1) it.control.send(STOP)
        it.send(5)
        it.ring.retire()
        it.control.askSnapshot()
        return waits === 1
      },
    })
    it.loop.run()
    assert.deepEqual(it.answered, [1])
    assert.equal(it.counter('packets'), 5)
  })
})

describe('a handler that throws', () => {
  for (const kind of ['packet', 'block'] as const) {
    test(`in ${kind}: counted as what it was not given, and the rest as unread`, () => {
      let handled = 0
      const fail = () => {
        if (++handled === 8) throw new Error('no luck')
      }
      const handler: Handler = kind === 'packet' ? { packet: fail } : { block: fail as (b: unknown) => void }
      const { loop, send, ring, counter, assertEven } = setUp({ handler, blocks: 16 })
      send(280)
      ring.retire()
      assert.throws(() => loop.run(), /no luck/)
      loop.settle(false)
      // A block of 4 KiB holds 28 of these.
      assert.equal(counter('packets'), kind === 'packet' ? 7 : 7 * 28)
      assert.ok(counter('dropHandler') > 0)
      assertEven()
    })
  }
})

describe('another worker takes over', () => {
  const throwing = (at: number): Handler => {
    let handled = 0
    return {
      packet: () => {
        if (++handled === at) throw new Error('no luck')
      },
    }
  }

  test('is told what the block in hand takes up, and how many of its packets are counted', () => {
    const { loop, send, ring, control, counter } = setUp({ handler: throwing(8) })
    send(60)
    ring.retire()
    assert.throws(() => loop.run(), { message: 'no luck' })
    assert.equal(control.countedOfBlock(), 0)
    loop.leave()
    const inBlock = counter('packets') + counter('dropHandler')
    assert.deepEqual([control.blockInHand(), control.countedOfBlock(), counter('packets')], [1, inBlock, 7])
  })

  test('packets that a dead worker had in hand are unread once, whatever else is at the end', () => {
    const it = setUp({ before: { dropUnread: 5 } })
    it.send(60)
    it.control.send(ABANDON)
    it.loop.run()
    it.loop.settle(false)
    // Five of the sixty are those.
    assert.equal(it.counter('dropUnread'), 60)
    it.assertEven()
  })
})

test('a full ring: drops and freezes are taken over', () => {
  const { loop, send, counter, assertEven } = setUp({ blocks: 2 })
  send(200)
  loop.run()
  loop.settle(true)
  assert.ok(counter('dropRing') > 100)
  assert.ok(counter('freezes') >= 1)
  assertEven()
})

test('blocks without packets pass', () => {
  const blocks: Block[] = []
  const { loop, ring, send, counter, assertEven } = setUp({ handler: { block: (b) => blocks.push(b as Block) as unknown as undefined } })
  ring.retire(true)
  ring.retire(true)
  send(1)
  ring.retire()
  loop.run()
  loop.settle(true)
  assert.equal(counter('packets'), 1)
  assertEven()
})

describe('what a handler gives up', () => {
  const WRONG: unknown[] = [Number.NaN, '1', -5, 0.5, undefined, null, 2, Number.POSITIVE_INFINITY, 2 ** 53]

  for (const kind of ['packet', 'block'] as const) {
    test(`${kind}: anything but a number of packets that it has is refused, and counts nothing`, () => {
      for (const wrong of kind === 'packet' ? WRONG : [...WRONG.slice(0, 6), 11]) {
        const { loop, send, ring, counter, assertEven, countDrops } = setUp({ handler: { [kind]: () => countDrops(wrong as number) } })
        send(10)
        ring.retire()
        assert.throws(() => loop.run(), { code: 'HANDLER_FAILED', message: /countDrops\(\) of worker 0: expected from 0 to \d+ packets/ }, String(wrong))
        loop.settle(false)
        assert.deepEqual([counter('packets'), counter('dropHandler')], [0, 10])
        assertEven()
      }
    })
  }

  test('a reason that is none is refused', () => {
    const { loop, send, ring, countDrops } = setUp({ handler: { packet: () => countDrops(1, 'ring' as never) } })
    send(1)
    ring.retire()
    assert.throws(() => loop.run(), { code: 'HANDLER_FAILED', message: /'handler' or 'consumer', got 'ring'/ })
  })

  test('each packet, all of several blocks, or some later: each once', () => {
    let seen = 0
    let given = 0
    const give = (packets: number) => {
      if (packets > seen - given) assert.throws(() => countDrops(packets), { code: 'HANDLER_FAILED' })
      else {
        countDrops(packets, packets % 2 === 0 ? 'handler' : 'consumer')
        given += packets
      }
    }
    const amounts = [1, 1, 0, 3, 1, 0, 0, 0, 5, 2, 1, 100]
    const { loop, send, ring, counter, assertEven, countDrops } = setUp({
      handler: {
        packet() {
          seen++
          give(amounts[seen % amounts.length] as number)
        },
      },
    })
    for (let block = 0; block < 5; block++) {
      send(13)
      ring.retire()
    }
    loop.run()
    give(seen - given + 1)
    give(seen - given)
    loop.settle(true)
    assert.deepEqual([seen, counter('packets'), counter('dropHandler') + counter('dropConsumer')], [65, 0, 65])
    assertEven()
  })

  test('packets that a handler had given up when it threw over them count once', () => {
    for (const kind of ['packet', 'block'] as const) {
      const { loop, send, ring, counter, assertEven, countDrops } = setUp({
        handler: {
          [kind]() {
            countDrops(1, 'consumer')
            throw new Error('after all')
          },
        },
      })
      send(3)
      ring.retire()
      assert.throws(() => loop.run(), /after all/)
      loop.settle(false)
      assert.deepEqual([counter('packets'), counter('dropConsumer'), counter('dropHandler')], [0, 1, 2], kind)
      assertEven()
    }
  })

  test('before anything was handed over there is nothing to give up', () => {
    const { countDrops } = setUp({})
    countDrops(0)
    assert.throws(() => countDrops(1), { code: 'HANDLER_FAILED', message: /from 0 to 0 packets/ })
  })
})
