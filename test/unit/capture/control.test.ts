import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ABANDON, Budget, Control, controlMemory, RUN, STOP } from '#src/capture/control.js'

test('commands only rise: who was told to give up is not told to drain', () => {
  const control = new Control(controlMemory(1), 0)
  assert.equal(control.command(), RUN)
  control.send(STOP)
  assert.equal(control.command(), STOP)
  control.send(ABANDON)
  control.send(STOP)
  control.send(RUN)
  assert.equal(control.command(), ABANDON)
})

test('each worker has words of its own, and both sides see the same', () => {
  const memory = controlMemory(3)
  const [main, workers] = [0, 1].map(() => [0, 1, 2].map((worker) => new Control(memory, worker)))
  main[1].send(STOP)
  assert.equal(main[2].askSnapshot(), 1)
  assert.equal(main[2].askSnapshot(), 2)
  assert.deepEqual(
    workers.map((control) => [control.command(), control.snapshotsAsked()]),
    [
      [RUN, 0],
      [STOP, 0],
      [RUN, 2],
    ],
  )
})

test('a budget is handed out once, to the last packet', () => {
  const memory = Budget.memory(100)
  const [a, b] = [new Budget(memory), new Budget(memory)]
  assert.equal(a.claim(60), 60)
  assert.equal(b.exhausted(), false)
  assert.equal(b.claim(60), 40)
  assert.equal(a.exhausted(), true)
  assert.equal(a.claim(1), 0)
  assert.equal(b.claim(1_000_000), 0)
  assert.equal(a.exhausted(), true)
})

test('claiming nothing takes nothing', () => {
  const budget = new Budget(Budget.memory(1))
  assert.equal(budget.claim(0), 0)
  assert.equal(budget.exhausted(), false)
  assert.equal(budget.claim(1), 1)
})

test('budgets beyond 32 bits', () => {
  const budget = new Budget(Budget.memory(2 ** 40 + 5))
  for (let i = 0; i < 2 ** 10; i++) assert.equal(budget.claim(2 ** 30), 2 ** 30)
  assert.equal(budget.claim(10), 5)
})
