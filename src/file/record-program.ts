/**
 * The function of `CompiledRecords`, assembled for a format: walks packets of a TPACKET_V3 block and writes a record for each. It
 * copies 16 bytes at a time where the machine has vectors, else 8, and up to SLACK_BYTES - 1 more than it needs: what it writes too
 * much is written over by what comes after it, what it reads too much is thrown away.
 */
import { PACKET_OUTGOING, SOCKADDR_LL_AFTER_HDR, TP_STATUS_VLAN_TPID_VALID, TP_STATUS_VLAN_VALID, TPACKET3_HDR } from '../kernel/abi/if_packet.js'
import { ETH_P_8021Q } from '../kernel/abi/socket.js'
import { isValidModule } from '../kernel/linear-memory.js'
import { EPB, ETHER_ADDRESSES, OPTION_EPB_FLAGS, PCAP_RECORD, type RecordFormat, VLAN_HLEN } from './record-layout.js'
import {
  add,
  add64,
  again,
  and,
  assembleModule,
  block,
  type Code,
  divU,
  equal,
  extendU,
  get,
  I32,
  I64,
  i32,
  i64,
  isZero,
  leave,
  lessU,
  load,
  load8,
  load16,
  load64,
  load128,
  loop,
  moreU,
  mul64,
  notLessU,
  or,
  select,
  set,
  shl,
  shrU,
  shrU64,
  store,
  store64,
  store128,
  sub,
  when,
  wrap,
} from './wasm.js'

/** What the function takes and leaves: 32-bit words at the address that is its parameter; `wireBytes` has 64 bits. It answers how many packets are left. */
export const ARGUMENTS = { header: 0, left: 4, out: 8, end: 12, snapLength: 16, interfaceId: 20, wireBytes: 24, truncated: 32, sizeof: 36 } as const

/** A turn of the copying loop. */
const COPY_BYTES = 32
/** Room that must be behind the records, and behind the packets. */
export const SLACK_BYTES = 64

/** Locals; the first is the parameter. */
const ARGUMENTS_AT = 0
const HEADER = 1
const LEFT = 2
const OUT = 3
const END = 4
const SNAP_LENGTH = 5
const INTERFACE_ID = 6
const TRUNCATED = 7
const PRESENT = 8
const WIRE = 9
const STATUS = 10
const LENGTH = 11
const PADDED = 12
const BYTES = 13
const OPTIONS = 14
const SOURCE = 15
const TARGET = 16
const STOP = 17
const TAG = 18
const WIRE_BYTES = 19
const TIME = 20
const LOCALS = [...Array.from({ length: TAG }, () => I32), I64, I64]

const argument = (offset: number): Code => load(get(ARGUMENTS_AT), offset)
const field = (offset: number): Code => load(get(HEADER), offset)
const field16 = (offset: number): Code => load16(get(HEADER), offset)
const hasStatus = (bit: number): Code => and(get(STATUS), i32(bit))

const TAKE_ARGUMENTS: Code = [
  ...set(HEADER, argument(ARGUMENTS.header)),
  ...set(LEFT, argument(ARGUMENTS.left)),
  ...set(OUT, argument(ARGUMENTS.out)),
  ...set(END, argument(ARGUMENTS.end)),
  ...set(SNAP_LENGTH, argument(ARGUMENTS.snapLength)),
  ...set(INTERFACE_ID, argument(ARGUMENTS.interfaceId)),
]

const LEAVE_ARGUMENTS: Code = [
  ...store(get(ARGUMENTS_AT), ARGUMENTS.header, get(HEADER)),
  ...store(get(ARGUMENTS_AT), ARGUMENTS.out, get(OUT)),
  ...store64(get(ARGUMENTS_AT), ARGUMENTS.wireBytes, get(WIRE_BYTES)),
  ...store(get(ARGUMENTS_AT), ARGUMENTS.truncated, get(TRUNCATED)),
  ...get(LEFT),
]

/** Lengths: `present` and `wire` without the tag, `length` of the record's data with it. A frame cut before its addresses end has no place for one. */
const MEASURE: Code = [
  ...set(PRESENT, field(TPACKET3_HDR.tp_snaplen)),
  ...set(WIRE, field(TPACKET3_HDR.tp_len)),
  ...set(STATUS, field(TPACKET3_HDR.tp_status)),
  ...set(LENGTH, get(PRESENT)),
  ...when(hasStatus(TP_STATUS_VLAN_VALID), when(notLessU(get(PRESENT), i32(ETHER_ADDRESSES)), set(LENGTH, add(get(PRESENT), i32(VLAN_HLEN))))),
  ...set(LENGTH, select(get(LENGTH), get(SNAP_LENGTH), lessU(get(LENGTH), get(SNAP_LENGTH)))),
]

/** Out of the loop over packets when the record finds no room. */
const END_WITHOUT_ROOM: Code = leave(1, moreU(get(BYTES), sub(get(END), get(OUT))))

const COUNT: Code = [...set(WIRE_BYTES, add64(get(WIRE_BYTES), extendU(get(WIRE)))), ...set(TRUNCATED, add(get(TRUNCATED), lessU(get(PRESENT), get(WIRE))))]

/** Bytes that the wire had: the tag is four of them. */
const ORIGINAL: Code = add(get(WIRE), shrU(hasStatus(TP_STATUS_VLAN_VALID), i32(Math.log2(TP_STATUS_VLAN_VALID / VLAN_HLEN))))

/** The addresses, the tag behind them; what is left to copy is the rest. */
const PUT_TAG_BACK: Code = [
  ...set(
    TAG,
    or(
      networkOrder(select(field16(TPACKET3_HDR.hv1_tp_vlan_tpid), i32(ETH_P_8021Q), hasStatus(TP_STATUS_VLAN_TPID_VALID))),
      shl(networkOrder(field16(TPACKET3_HDR.hv1_tp_vlan_tci)), i32(16)),
    ),
  ),
  ...store64(get(TARGET), 0, load64(get(SOURCE), 0)),
  ...store(get(TARGET), 8, load(get(SOURCE), 8)),
  ...store(get(TARGET), ETHER_ADDRESSES, get(TAG)),
  ...set(SOURCE, add(get(SOURCE), i32(ETHER_ADDRESSES))),
  ...set(TARGET, add(get(TARGET), i32(ETHER_ADDRESSES + VLAN_HLEN))),
]

function networkOrder(word16: Code): Code {
  return or(shrU(word16, i32(8)), shl(and(word16, i32(0xff)), i32(8)))
}

/** From `source` to `target` until `stop`; at least one turn. */
function copyRest(hasVectors: boolean): Code {
  const step = hasVectors ? 16 : 8
  const move = (offset: number): Code =>
    hasVectors ? store128(get(TARGET), offset, load128(get(SOURCE), offset)) : store64(get(TARGET), offset, load64(get(SOURCE), offset))
  return loop(
    ...Array.from({ length: COPY_BYTES / step }, (_, i) => move(i * step)),
    set(SOURCE, add(get(SOURCE), i32(COPY_BYTES))),
    set(TARGET, add(get(TARGET), i32(COPY_BYTES))),
    leave(0, lessU(get(TARGET), get(STOP))),
  )
}

function copyFrame(dataOffset: number, hasVectors: boolean): Code {
  return [
    ...set(SOURCE, add(get(HEADER), field16(TPACKET3_HDR.tp_mac))),
    ...set(TARGET, add(get(OUT), i32(dataOffset))),
    ...set(STOP, add(get(TARGET), get(LENGTH))),
    ...when(hasStatus(TP_STATUS_VLAN_VALID), when(notLessU(get(PRESENT), i32(ETHER_ADDRESSES)), PUT_TAG_BACK)),
    ...copyRest(hasVectors),
  ]
}

function fraction(microseconds: boolean): Code {
  const nanoseconds = field(TPACKET3_HDR.tp_nsec)
  return microseconds ? divU(nanoseconds, i32(1000)) : nanoseconds
}

function pcapRecord(microseconds: boolean, hasVectors: boolean): Code {
  return [
    ...MEASURE,
    ...set(BYTES, add(get(LENGTH), i32(PCAP_RECORD.sizeof))),
    ...END_WITHOUT_ROOM,
    ...COUNT,
    ...store(get(OUT), PCAP_RECORD.seconds, field(TPACKET3_HDR.tp_sec)),
    ...store(get(OUT), PCAP_RECORD.fraction, fraction(microseconds)),
    ...store(get(OUT), PCAP_RECORD.capturedLength, get(LENGTH)),
    ...store(get(OUT), PCAP_RECORD.originalLength, ORIGINAL),
    ...copyFrame(PCAP_RECORD.sizeof, hasVectors),
    ...set(OUT, add(get(OUT), get(BYTES))),
  ]
}

function enhancedPacketBlock(microseconds: boolean, hasVectors: boolean): Code {
  const isOutgoing = equal(load8(get(HEADER), SOCKADDR_LL_AFTER_HDR.sll_pkttype), i32(PACKET_OUTGOING))
  const second = i64(microseconds ? 1_000_000n : 1_000_000_000n)
  /** The options, and behind them the block's length once more. */
  const tail = sub(get(OUT), i32(EPB.flagsOptionBytes + 4))
  return [
    ...MEASURE,
    ...set(PADDED, and(add(get(LENGTH), i32(3)), i32(~3))),
    ...set(OPTIONS, select(i32(EPB.flagsOptionBytes), i32(0), isOutgoing)),
    ...set(BYTES, add(add(get(PADDED), get(OPTIONS)), i32(EPB.sizeof))),
    ...END_WITHOUT_ROOM,
    ...COUNT,
    ...set(TIME, add64(mul64(extendU(field(TPACKET3_HDR.tp_sec)), second), extendU(fraction(microseconds)))),
    ...store(get(OUT), EPB.type, i32(EPB.typeCode)),
    ...store(get(OUT), EPB.totalLength, get(BYTES)),
    ...store(get(OUT), EPB.interfaceId, get(INTERFACE_ID)),
    ...store(get(OUT), EPB.timestampHigh, wrap(shrU64(get(TIME), i64(32n)))),
    ...store(get(OUT), EPB.timestampLow, wrap(get(TIME))),
    ...store(get(OUT), EPB.capturedLength, get(LENGTH)),
    ...store(get(OUT), EPB.originalLength, ORIGINAL),
    ...copyFrame(EPB.data, hasVectors),
    // The padding, where the copy left something of what stood behind the packet.
    ...store(get(STOP), 0, i32(0)),
    ...set(OUT, add(get(OUT), get(BYTES))),
    ...when(get(OPTIONS), store(tail, 0, i32(OPTION_EPB_FLAGS.code | (4 << 16))), store(tail, 4, i32(OPTION_EPB_FLAGS.outbound)), store(tail, 8, i32(0))),
    ...store(tail, EPB.flagsOptionBytes, get(BYTES)),
  ]
}

function assemble({ format, microseconds }: RecordFormat, hasVectors: boolean): Uint8Array<ArrayBuffer> {
  const record = format === 'pcap' ? pcapRecord(microseconds, hasVectors) : enhancedPacketBlock(microseconds, hasVectors)
  const eachPacket = block(
    loop(leave(1, isZero(get(LEFT))), record, set(HEADER, add(get(HEADER), field(TPACKET3_HDR.tp_next_offset))), set(LEFT, sub(get(LEFT), i32(1))), again(0)),
  )
  return assembleModule({ parameters: 1, locals: LOCALS, body: [...TAKE_ARGUMENTS, ...eachPacket, ...LEAVE_ARGUMENTS] })
}

/** A module for `LinearMemory.instantiate`, whose function takes the address of ARGUMENTS. */
export function recordProgram(format: RecordFormat, hasVectors?: boolean): Uint8Array<ArrayBuffer> {
  const withVectors = assemble(format, true)
  return (hasVectors ?? isValidModule(withVectors)) ? withVectors : assemble(format, false)
}
