/**
 * What this kernel lets this process do, found by doing it: small sockets, rings and programs that are on no interface, and closed at once.
 * What needs an interface gets the loopback of a namespace of its own.
 */
import { alu, assemble, exit } from '../../bpf/ebpf.js'
import { CaptureError } from '../../errors.js'
import { XDP_PASS } from '../../kernel/abi/ebpf.js'
import {
  FANOUT_ARGS,
  PACKET_FANOUT,
  PACKET_FANOUT_CPU,
  PACKET_FANOUT_FLAG_UNIQUEID,
  PACKET_RX_RING,
  PACKET_VERSION,
  TPACKET_V3,
} from '../../kernel/abi/if_packet.js'
import { AF_INET, AF_PACKET, SO_PREFER_BUSY_POLL, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW, SOL_PACKET, SOL_SOCKET } from '../../kernel/abi/socket.js'
import { attachXdp } from '../../kernel/bpf-link.js'
import { loadProgram } from '../../kernel/bpf-program.js'
import { Descriptor } from '../../kernel/descriptor.js'
import { callFailed, errnoName, errnoText } from '../../kernel/errno.js'
import { Mapping } from '../../kernel/mapping.js'
import { withRaisedMemlock } from '../../kernel/memlock.js'
import { createNamespace, withNamespace } from '../../kernel/namespace.js'
import { setInt } from '../../kernel/options.js'
import type { Kernel } from '../../kernel/system.js'
import { Opened } from '../../source/opened.js'
import { openPacketSocket, ringRequest } from '../../source/packet-socket.js'
import { XdpQueue } from '../../source/xdp-queue.js'

export const PROBES = ['packet-socket', 'packet-ring', 'packet-fanout', 'bpf-program', 'xdp-link', 'af-xdp', 'busy-poll'] as const
export type ProbeName = (typeof PROBES)[number]

export interface Refusal {
  call: string
  errno: number
  reason: string
}

export interface ProbeResult {
  probe: ProbeName
  works: boolean
  /** The call that was refused, and the errno; undefined where it works. */
  refused: Refusal | undefined
  /** What kept it from being tried at all: nothing is known then. */
  untried?: Refusal
}

const SUBJECT = 'probe'
/** An EtherType for local experiments (IEEE 802): a socket for it sees what nobody sends. */
const NO_PROTOCOL = 0x88b5
const RING_BLOCKS = 2
const UMEM_CHUNKS = 128
const LOOPBACK = { interfaceName: 'lo', interfaceIndex: 1 }

const ATTEMPTS: Readonly<Record<ProbeName, (kernel: Kernel) => void>> = {
  'packet-socket'(kernel) {
    openPacketSocket(kernel, SUBJECT).close()
  },
  'packet-ring'(kernel) {
    using socket = openPacketSocket(kernel, SUBJECT)
    const { fd } = socket
    const geometry = { blockBytes: kernel.pageSize, blockCount: RING_BLOCKS }
    must('setsockopt(PACKET_VERSION, TPACKET_V3)', setInt(kernel, fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3))
    must('setsockopt(PACKET_RX_RING)', kernel.setsockopt(fd, SOL_PACKET, PACKET_RX_RING, ringRequest({ ...geometry, blockTimeoutMs: 20 }, false)))
    // As a worker maps it: also whether this Node.js takes memory of the kernel as a buffer.
    const mapping = Mapping.map(kernel, SUBJECT, fd, geometry.blockBytes * geometry.blockCount)
    mapping.close()
  },
  'packet-fanout'(kernel) {
    using socket = new Descriptor(kernel, must('socket(AF_PACKET, SOCK_RAW)', kernel.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, bigEndian(NO_PROTOCOL))))
    const request = new DataView(new ArrayBuffer(4))
    request.setUint16(FANOUT_ARGS.type_flags, PACKET_FANOUT_CPU | PACKET_FANOUT_FLAG_UNIQUEID, true)
    must('setsockopt(PACKET_FANOUT, cpu)', kernel.setsockopt(socket.fd, SOL_PACKET, PACKET_FANOUT, new Uint8Array(request.buffer)))
  },
  'bpf-program'(kernel) {
    passingProgram(kernel).close()
  },
  'xdp-link'(kernel) {
    using program = passingProgram(kernel)
    inNamespaceOfItsOwn(kernel, () => attachXdp(kernel, { ...LOOPBACK, program, mode: 'generic' }).detach())
  },
  'af-xdp'(kernel) {
    const opened = new Opened()
    try {
      const maps = { xsksFd: -1, queuesFd: -1, mapQueues: 0 }
      new XdpQueue(kernel, opened, { interfaceName: SUBJECT, queue: 0, maps, chunkBytes: 2048, chunks: UMEM_CHUNKS, busyPollUs: 0 })
    } finally {
      opened.close()
    }
  },
  'busy-poll'(kernel) {
    using socket = new Descriptor(kernel, must('socket(AF_INET, SOCK_DGRAM)', kernel.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)))
    must('setsockopt(SO_PREFER_BUSY_POLL)', setInt(kernel, socket.fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, 1))
  },
}

/** Tries everything; nothing is left open or changed. Never throws for what is refused. */
export function probeKernel(kernel: Kernel): ProbeResult[] {
  return withRaisedMemlock(kernel, () => PROBES.map((probe) => attempt(kernel, probe)))
}

function attempt(kernel: Kernel, probe: ProbeName): ProbeResult {
  try {
    ATTEMPTS[probe](kernel)
    return { probe, works: true, refused: undefined }
  } catch (error) {
    if (error instanceof Untried) return { probe, works: false, refused: undefined, untried: refusalOf(error.cause) }
    return { probe, works: false, refused: refusalOf(error) }
  }
}

/** What a probe stands on gave way, not what it is about. */
class Untried extends Error {}

/** Without /proc, say, no thread finds back to its namespace. */
function inNamespaceOfItsOwn(kernel: Kernel, act: () => void): void {
  let refused: { error: unknown } | undefined
  try {
    using namespace = createNamespace(kernel)
    withNamespace(kernel, namespace, () => {
      try {
        act()
      } catch (error) {
        refused = { error }
      }
    })
  } catch (cause) {
    throw new Untried('no network namespace to try it in', { cause })
  }
  if (refused !== undefined) throw refused.error
}

function refusalOf(error: unknown): Refusal {
  // What is no refusal of the kernel is one of Node.js: memory of the kernel that it does not take as a buffer.
  if (!(error instanceof CaptureError)) return { call: 'external buffer', errno: 0, reason: (error as Error).message }
  const { errno, syscall } = error
  return { call: syscall ?? error.message, errno: errno ?? 0, reason: errno === undefined ? error.message : `${errnoName(errno)}: ${errnoText(errno)}` }
}

function passingProgram(kernel: Kernel): Descriptor {
  return loadProgram(kernel, { name: 'ringtap_probe', type: 'xdp', code: assemble([alu('mov', 'r0', XDP_PASS), exit()]) })
}

function must(call: string, result: number): number {
  if (result >= 0) return result
  throw callFailed({ subject: SUBJECT, call, errno: result, capability: 'CAP_NET_RAW' })
}

function bigEndian(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8)
}
