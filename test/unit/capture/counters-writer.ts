/** A worker that publishes as fast as it can: every counter is a multiple of the same number, so that a torn set shows. */
import { parentPort, workerData } from 'node:worker_threads'
import { COUNTER, CounterWriter } from '#src/capture/counters.js'

const { memory, worker, stop, pauseEvery } = workerData as { memory: SharedArrayBuffer; worker: number; stop: SharedArrayBuffer; pauseEvery: number }
const writer = new CounterWriter(memory, worker)
const flag = new Int32Array(stop)
const indices = Object.values(COUNTER).filter((index) => index !== COUNTER.handlerSinceMs)
let step = 0
while (Atomics.load(flag, 0) === 0) {
  step++
  // Crosses 2^32 in the first thousands of steps, so that low words wrap while high words rise.
  for (const index of indices) writer.values[index] = step * (index + 1) * 1_000_003
  writer.publish()
  if (step % pauseEvery === 0) Atomics.wait(flag, 0, 0, 1)
}
parentPort?.postMessage(step)
