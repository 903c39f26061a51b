/** A capture without a kernel for `packetsWith`: packets are given to the handler of `packets()` in this thread. */
import type { Capture, CaptureCounters, CaptureOptions, CaptureSummary } from '#src/capture/api.js'
import handler, { type PacketsHandlerData } from '#src/handlers/packets.js'
import type { Block } from '#src/packet/block.js'
import { BlockPacketView } from '#src/packet/view.js'
import { Tpacket3Ring } from '#src/ring/tpacket3.js'
import { KernelRing } from './ring-memory.js'

export class FakeCapture {
  options: CaptureOptions | undefined
  stops = 0
  /** Of the kernel. */
  lost = 0
  #packets = 0
  #consumer = 0
  #reason: CaptureSummary['reason'] = 'stopped'
  #state: ReturnType<typeof handler.open> | undefined
  #finish: (error?: Error) => void = () => {}
  readonly #view = new BlockPacketView()

  /** In place of `openCaptureFor`; resolves when `ready` does. */
  readonly open: (options: CaptureOptions, handlerData: (workers: number) => unknown) => Promise<Capture>

  constructor(ready: (signal: AbortSignal) => Promise<void> = () => Promise.resolve()) {
    this.open = async (options, handlerData) => {
      this.options = options
      const signal = options.signal as AbortSignal
      await ready(signal)
      const data = handlerData(1) as PacketsHandlerData
      const countDrops = (packets: number) => {
        this.#consumer += packets
        this.#packets -= packets
      }
      this.#state = handler.open({ workerIndex: 0, workerCount: 1, interfaceName: 'eth0', interfaceIndex: 2, data, countDrops })
      const finished = new Promise<CaptureSummary>((resolve, reject) => {
        this.#finish = (error) => (error === undefined ? resolve(this.#summary()) : reject(error))
      })
      finished.catch(() => {})
      signal.addEventListener('abort', () => {
        this.#reason = 'aborted'
        this.#finish()
      })
      const stop = () => {
        this.stops++
        this.#finish()
        return finished
      }
      return { finished, stop, counters: () => this.#summary() } as unknown as Capture
    }
  }

  /** A packet, as a worker gives it. */
  give(bytes: Uint8Array = new Uint8Array(60)): void {
    const kernel = new KernelRing({ blockBytes: 4096, blockCount: 2 })
    kernel.receive({ bytes })
    kernel.retire()
    const block = new Tpacket3Ring(kernel.memory, kernel.geometry).peek() as Block
    this.#view.enter(block)
    this.#view.header = block.firstOffset
    this.#packets++
    handler.packet(this.#view, this.#state as ReturnType<typeof handler.open>)
  }

  fail(error: Error): void {
    this.#finish(error)
  }

  #summary(): CaptureSummary & CaptureCounters {
    const drops = { ring: this.lost, consumer: this.#consumer }
    const worker = { packets: this.#packets, dropped: this.lost + this.#consumer, drops }
    return { ...worker, reason: this.#reason, workers: [{ ...worker, worker: 0 }] } as unknown as CaptureSummary
  }
}
