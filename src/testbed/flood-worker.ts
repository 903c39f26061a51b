/** One thread of the flood: pinned to a CPU, in the sender's namespace, running the shared program on live frames a few milliseconds at a time. */
import { parentPort, workerData } from 'node:worker_threads'
import { FLOOD_STATE } from '../bpf/flood-program.js'
import { toPlainError } from '../errors.js'
import { BpfCell } from '../kernel/bpf-map.js'
import { liveFrames } from '../kernel/bpf-program.js'
import { callFailed, EAGAIN, EINTR, ENOMEM } from '../kernel/errno.js'
import { openNamespace, withNamespace } from '../kernel/namespace.js'
import { type Kernel, openKernel } from '../kernel/system.js'
import { nameThread, pinThread } from '../kernel/thread.js'
import { FloodControl, type FloodMessage, type FloodWorkerData } from './flood-control.js'
import { burstLimit, CHUNK_MS, msUntilNext, packetsDue } from './flood-schedule.js'

/** Frames that one batch sends with softirqs off; the receiver's queue holds 256. */
const BATCH = 64
const FIRST_CHUNK = 1024
const MAX_CHUNK = 1 << 17
/** So few are run one by one: a run of one frame, at about 20 us, takes no lock that other floods and XDP users may hold for long. */
const FEW = 8
/** Paced threads look at the clock no more often: a run has a fixed cost of some microseconds. */
const TICK_MS = 1

const data = workerData as FloodWorkerData

function post(message: FloodMessage): void {
  parentPort?.postMessage(message)
}

try {
  const kernel = openKernel()
  nameThread(kernel, `flood/${data.cpu}`)
  pinThread(kernel, [data.cpu])
  using namespace = data.netns === undefined ? undefined : openNamespace(kernel, data.netns)
  withNamespace(kernel, namespace, () => flood(kernel, new FloodControl(data.control)))
} catch (error) {
  post({ type: 'failed', error: toPlainError(error, 'WORKER_FAILED') })
}

function flood(kernel: Kernel, control: FloodControl): void {
  const state = new BpfCell(kernel, data.stateFd, data.stateWords)
  const live = liveFrames(kernel, data.programFd, data.frame, BATCH)
  let made = 0

  post({ type: 'ready' })
  control.wait(FloodControl.HELD)
  const startedNs = process.hrtime.bigint()
  const origin = performance.now() - Number(startedNs - control.startNs) / 1e6
  const durationMs = data.durationMs ?? Number.POSITIVE_INFINITY
  const paced = data.ratePps !== undefined
  const total = packetsDue({ ...data, ratePps: undefined }, 0)
  let chunk = FIRST_CHUNK
  let lastMs = 0
  while (control.state === FloodControl.RUNNING && made < total) {
    const nowMs = Math.min(performance.now() - origin, durationMs)
    const over = nowMs >= durationMs
    const packets = over && !paced ? 0 : Math.min(packetsDue(data, nowMs) - made, burstLimit(data, nowMs - lastMs), chunk)
    if (packets > 0) {
      lastMs = nowMs
      let result = 0
      if (packets > FEW) result = live.run(packets)
      else for (let packet = 0; packet < packets && result === 0; packet++) result = live.run(1)
      const before = made
      // The program counts: exact even where a run broke off half way.
      state.read()
      made = Number(state.words[data.cpu * FLOOD_STATE.words + FLOOD_STATE.made])
      // A signal or a want of pages ends a run early; what was not made is still due.
      const passing = result === -EINTR || result === -EAGAIN || result === -ENOMEM
      if (result < 0 && !passing) {
        const call = `bpf(BPF_PROG_RUN, BPF_F_TEST_XDP_LIVE_FRAMES, repeat=${packets})`
        throw callFailed({ subject: `flood on CPU ${data.cpu}`, call, errno: result, capability: 'CAP_SYS_ADMIN', hint: 'live frames need Linux 5.18' })
      }
      if (result < 0 && made === before) control.wait(FloodControl.RUNNING, TICK_MS)
      const nsPerFrame = live.nsPerFrame()
      if (nsPerFrame > 0) chunk = Math.min(MAX_CHUNK, Math.max(BATCH, Math.floor((CHUNK_MS * 1e6) / nsPerFrame)))
    }
    if (over) break
    if (!paced) continue
    const elapsedMs = performance.now() - origin
    const pauseMs = Math.min(Math.max(msUntilNext(data, made, elapsedMs), lastMs + TICK_MS - elapsedMs), durationMs - elapsedMs)
    if (pauseMs > 0) control.wait(FloodControl.RUNNING, pauseMs)
  }
  post({ type: 'finished', startedNs: control.startNs, endedNs: process.hrtime.bigint() })
}
