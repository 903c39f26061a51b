/**
 * `replay()`: a handler over a capture file, in this thread. The handler is the one that runs live, and cannot tell the difference: packets come in
 * blocks of the same layout.
 */
import { pathToFileURL } from 'node:url'
import { CaptureError } from '../errors.js'
import type { PacketCursor } from '../file/decode/cursor.js'
import type { CaptureFile, CaptureFileInput, CaptureFileOptions } from '../file/open.js'
import type { Handler, HandlerContext } from '../handler.js'
import { TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import type { Block } from '../packet/block.js'
import { BlockPacketView } from '../packet/view.js'
import { FileBlocks } from '../source/file.js'
import { GivenUp } from './given-up.js'
import { complaint, loadHandler } from './handler-module.js'
import { openCaptureFile } from './open-file.js'

const SNAPLEN = TPACKET3_HDR.tp_snaplen / 4
const LEN = TPACKET3_HDR.tp_len / 4

export interface ReplayOptions extends CaptureFileOptions {
  /** Given to the handler's `open`, as it is: there is no other thread. */
  handlerData?: unknown
  /**
   * Told of what ended the file before its end: damage, a read that failed, a packet that is not of Ethernet. What the handler has of the packets
   * before it comes back then, and `reason` is `error`. Default: it is thrown.
   */
  onError?: ((error: CaptureError) => void) | undefined
}

export interface ReplaySummary<Snapshot = unknown> {
  /** Handed to the handler, and not given up by it. */
  packets: number
  /** Their bytes on the wire, with those that it gave up. A VLAN tag beside a frame is not counted. */
  bytes: number
  /** Packets of which fewer bytes are there than the wire had. */
  truncated: number
  /** Given up by the handler through `countDrops`. */
  dropped: number
  /**
   * Packets whose `seconds` and `nanoseconds` are 0, because the file has no time of them or one that a packet of a ring cannot have: before 1970, or
   * later than 32 bits of seconds reach (February 2106).
   */
  untimed: number
  /** Of the handler, after the last packet; undefined without a `snapshot` function. */
  snapshot: Snapshot | undefined
  reason: 'end' | 'aborted' | 'error'
}

/**
 * Runs a handler over a capture file: open, packet or block, snapshot, close. Packets must be of Ethernet. `interfaceIndex` of a packet is
 * the place of its interface in the file's `interfaces`; `rxhash` is 0; a VLAN tag is taken out of the frame, as the kernel does.
 * @param file a file that is open, which stays the caller's to close, or what `openCaptureFile` takes.
 * @param handler a handler, or the URL or path of a module that exports one.
 * @throws CaptureError HANDLER_NOT_LOADED, HANDLER_FAILED, UNSUPPORTED_LINK_TYPE for a packet that is not of Ethernet, and what reading the
 * file throws, unless `onError` is there to be told. `close` of the handler has been called then.
 */
export async function replay<State = unknown, Snapshot = State>(
  file: CaptureFile | CaptureFileInput,
  handler: Handler<State, Snapshot> | URL | string,
  options: ReplayOptions = {},
): Promise<ReplaySummary<Snapshot>> {
  const { handlerData, onError, ...fileOptions } = options
  if (onError !== undefined && typeof onError !== 'function') {
    throw new CaptureError('INVALID_OPTION', `Expected the option onError to be a function, got ${String(onError)} (${typeof onError})`)
  }
  const loaded = (await handlerOf(handler as Handler | URL | string)) as Handler<State, Snapshot>
  if (isOpenFile(file)) {
    const wrong = Object.keys(fileOptions).find((name) => name !== 'signal')
    if (wrong !== undefined) throw new CaptureError('INVALID_OPTION', `The option ${wrong} is for openCaptureFile: the file is open`)
    return run(file, loaded, options)
  }
  await using opened = await openCaptureFile(file, fileOptions)
  return await run(opened, loaded, options)
}

async function handlerOf(handler: Handler | URL | string): Promise<Handler> {
  if (typeof handler === 'string') return loadHandler(/^[a-z]+:/.test(handler) ? handler : pathToFileURL(handler).href)
  if (handler instanceof URL) return loadHandler(handler.href)
  const bad = complaint(handler)
  if (bad !== undefined) throw new CaptureError('HANDLER_NOT_LOADED', `handler: ${bad}`, { hint: 'defineHandler({ packet(p, state) { … } })' })
  return handler
}

function isOpenFile(file: CaptureFile | CaptureFileInput): file is CaptureFile {
  return typeof file === 'object' && file !== null && 'batches' in file
}

async function run<State, Snapshot>(
  file: CaptureFile,
  handler: Handler<State, Snapshot>,
  { handlerData: data, onError, signal }: ReplayOptions,
): Promise<ReplaySummary<Snapshot>> {
  let dropped = 0
  const givenUp = new GivenUp(0, (packets) => {
    dropped += packets
  })
  const context: HandlerContext = {
    workerIndex: 0,
    workerCount: 1,
    interfaceName: file.interfaces[0]?.name ?? file.name,
    interfaceIndex: 0,
    data,
    countDrops: givenUp.count,
  }
  const state = (await attempt('open', () => handler.open?.(context))) as State
  const delivery = new Delivery(handler, state, givenUp)
  const blocks = new FileBlocks()
  let ending: CaptureError | undefined
  let snapshot: Snapshot | undefined
  let failure: { thrown: unknown } | undefined
  try {
    try {
      for await (const batch of file.batches()) {
        if (signal?.aborted === true) break
        delivery.deliver(batch, blocks)
        if (blocks.refused >= 0) throw notEthernet(file, blocks.refused)
      }
    } catch (error) {
      if (onError === undefined || !(error instanceof CaptureError) || error.code === 'HANDLER_FAILED') throw error
      ending = error
    }
    snapshot = await attempt('snapshot', () => handler.snapshot?.(state))
  } catch (thrown) {
    failure = { thrown }
  }
  try {
    await attempt('close', () => handler.close?.(state))
  } catch (thrown) {
    failure ??= { thrown }
  }
  if (failure !== undefined) throw failure.thrown
  if (ending !== undefined) onError?.(ending)
  const { packets, bytes, truncated } = delivery
  const reason = ending !== undefined ? 'error' : signal?.aborted === true ? 'aborted' : 'end'
  return { packets: packets - dropped, bytes, truncated, dropped, untimed: blocks.untimed, snapshot, reason }
}

function notEthernet(file: CaptureFile, id: number): CaptureError {
  const { linkType, linkTypeName } = file.interfaces[id] as CaptureFile['interfaces'][number]
  return new CaptureError(
    'UNSUPPORTED_LINK_TYPE',
    `${file.name}: interface ${id} has link type ${linkTypeName} (${linkType}), and handlers take Ethernet only`,
    {
      hint: 'for await (const batch of file.batches()) takes packets of every link type',
    },
  )
}

async function attempt<T>(name: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw handlerFailed(name, error)
  }
}

function handlerFailed(name: string, error: unknown): CaptureError {
  if (error instanceof CaptureError && error.code === 'HANDLER_FAILED') return error
  return new CaptureError('HANDLER_FAILED', `handler ${name}() threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`, {
    cause: error,
  })
}

/** Hands blocks over and counts them: what the loop of a worker does. */
class Delivery<State, Snapshot> {
  packets = 0
  bytes = 0
  truncated = 0
  readonly #handler: Handler<State, Snapshot>
  readonly #state: State
  readonly #givenUp: GivenUp
  readonly #view = new BlockPacketView()

  constructor(handler: Handler<State, Snapshot>, state: State, givenUp: GivenUp) {
    this.#handler = handler
    this.#state = state
    this.#givenUp = givenUp
  }

  deliver(batch: PacketCursor, blocks: FileBlocks): void {
    blocks.begin(batch)
    for (;;) {
      const block = blocks.fill(batch)
      if (block === undefined) return
      const name = this.#handler.block === undefined ? 'packet' : 'block'
      try {
        if (this.#handler.block !== undefined) {
          this.#givenUp.enterBlock(block.packetCount)
          this.#handler.block(block, this.#state)
        } else if (this.#handler.packet !== undefined) this.#deliverPackets(block, this.#handler.packet as (packet: BlockPacketView, state: State) => void)
      } catch (error) {
        throw handlerFailed(name, error)
      }
      this.#count(block)
      if (blocks.refused >= 0) return
    }
  }

  #deliverPackets(block: Block, packet: (packet: BlockPacketView, state: State) => void): void {
    const view = this.#view
    const state = this.#state
    const words = block.words32
    const count = block.packetCount
    let header = block.firstOffset
    view.enter(block)
    view.header = header
    this.#givenUp.enterPackets(block, view)
    for (let i = 0; i < count; i++) {
      view.header = header
      packet(view, state)
      header += words[header >>> 2] as number
    }
    this.#givenUp.leavePackets(count)
  }

  #count(block: Block): void {
    const words = block.words32
    const count = block.packetCount
    let at = block.firstOffset >>> 2
    let bytes = 0
    let truncated = 0
    for (let i = 0; i < count; i++) {
      const length = words[at + LEN] as number
      bytes += length
      if ((words[at + SNAPLEN] as number) < length) truncated++
      at += (words[at] as number) >>> 2
    }
    this.packets += count
    this.bytes += bytes
    this.truncated += truncated
  }
}
