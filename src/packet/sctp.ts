/** SCTP (RFC 9260): the chunks by name, and the numbers of those that every association has. */
import type { PacketPrinter } from './packet-printer.js'

const HEADER_BYTES = 12
const CHUNK_BYTES = 4
const CHUNK = { DATA: 0, INIT: 1, INIT_ACK: 2, SACK: 3 } as const
const CHUNK_NAMES: Readonly<Record<number, string>> = {
  0: 'DATA',
  1: 'INIT',
  2: 'INIT ACK',
  3: 'SACK',
  4: 'HB REQ',
  5: 'HB ACK',
  6: 'ABORT',
  7: 'SHUTDOWN',
  8: 'SHUTDOWN ACK',
  9: 'OP ERR',
  10: 'COOKIE ECHO',
  11: 'COOKIE ACK',
  12: 'ECN ECHO',
  13: 'ECN CWR',
  14: 'SHUTDOWN COMPLETE',
  192: 'FOR CUM TSN',
  193: 'REL CTRL',
  194: 'REL CTRL ACK',
}
const PAYLOAD_NAMES: Readonly<Record<number, string>> = {
  1: 'ISDN Q.921',
  2: 'M2UA',
  3: 'M3UA',
  4: 'SUA',
  5: 'M2PA',
  6: 'V5.2',
  7: 'H.248',
  8: 'BICC',
  9: 'TALI',
  10: 'DUA',
  11: 'ASAP',
  12: 'ENRP',
  13: 'H.323',
  14: 'Q.IPC',
  15: 'SIMCO',
  16: 'DDPSC',
  17: 'DDPSSC',
  18: 'S1AP',
  19: 'RUA',
  20: 'HNBAP',
  21: 'ForCES HP',
  22: 'ForCES MP',
  23: 'ForCES LP',
  24: 'SBc-AP',
  25: 'NBAP',
  27: 'X2AP',
}

export function printSctp(p: PacketPrinter, start: number, length: number, ipHeader: number): void {
  const version = p.u8(ipHeader) >>> 4
  if (length < HEADER_BYTES) {
    p.text('truncated-sctp - ')
    p.decimal(HEADER_BYTES - length)
    p.text(' bytes missing!')
    return
  }
  if (!p.has(start, HEADER_BYTES)) {
    p.ends('sctp')
    return
  }
  if (version === 6) p.ip6(ipHeader + 8)
  else p.ip4(ipHeader + 12)
  p.text('.')
  p.decimal(p.u16(start))
  p.text(' > ')
  if (version === 6) p.ip6(ipHeader + 24)
  else p.ip4(ipHeader + 16)
  p.text('.')
  p.decimal(p.u16(start + 2))
  p.text(': sctp')
  printChunks(p, start + HEADER_BYTES, length - HEADER_BYTES)
}

function printChunks(p: PacketPrinter, start: number, total: number): void {
  let at = start
  let left = total
  for (let count = 1; left > 0; count++) {
    if (left < CHUNK_BYTES) {
      printNumber(p, count)
      p.text('[chunk descriptor cut off at end of packet]')
      return
    }
    if (!p.has(at, CHUNK_BYTES)) {
      p.ends('sctp')
      return
    }
    const length = p.u16(at + 2)
    const padded = (length + 3) & ~3
    if (length < CHUNK_BYTES || left < padded - length) {
      printNumber(p, count)
      p.text('[Bad chunk length ')
      p.decimal(length)
      p.text(length < CHUNK_BYTES ? ', < size of chunk descriptor]' : ', > remaining data in packet]')
      return
    }
    if (!p.has(at, length)) {
      p.ends('sctp')
      return
    }
    printNumber(p, count)
    p.text('[')
    p.namedOrHex(CHUNK_NAMES, p.u8(at), 'Unknown chunk type: 0x')
    p.text('] ')
    if (!printChunk(p, at, length)) return
    if (padded > length && !p.has(at, padded)) {
      p.ends('sctp')
      return
    }
    at += padded
    left -= padded
  }
}

function printNumber(p: PacketPrinter, count: number): void {
  p.text(p.verbosity > 1 ? '\n\t' : count === 1 ? ' (' : ', (')
  p.decimal(count)
  p.text(') ')
}

function printBadChunk(p: PacketPrinter, length: number): boolean {
  p.text('bogus chunk length ')
  p.decimal(length)
  p.text(']')
  return false
}

function printChunk(p: PacketPrinter, at: number, length: number): boolean {
  switch (p.u8(at)) {
    case CHUNK.DATA:
      return printData(p, at, length)
    case CHUNK.INIT:
    case CHUNK.INIT_ACK:
      if (length < CHUNK_BYTES + 16) return printBadChunk(p, length)
      printField(p, 'init tag: ', p.u32(at + 4))
      printField(p, 'rwnd: ', p.u32(at + 8))
      printField(p, 'OS: ', p.u16(at + 12))
      printField(p, 'MIS: ', p.u16(at + 14))
      printField(p, 'init TSN: ', p.u32(at + 16))
      return true
    case CHUNK.SACK:
      return printSack(p, at, length)
    default:
      return true
  }
}

function printField(p: PacketPrinter, name: string, value: number): void {
  p.text('[')
  p.text(name)
  p.decimal(value)
  p.text('] ')
}

function printData(p: PacketPrinter, at: number, length: number): boolean {
  const flags = p.u8(at + 1)
  if ((flags & 4) !== 0) p.text('(U)')
  if ((flags & 2) !== 0) p.text('(B)')
  if ((flags & 1) !== 0) p.text('(E)')
  if ((flags & 7) !== 0) p.text(' ')
  if (length < CHUNK_BYTES + 12) return printBadChunk(p, length)
  printField(p, 'TSN: ', p.u32(at + 4))
  printField(p, 'SID: ', p.u16(at + 8))
  printField(p, 'SSEQ ', p.u16(at + 10))
  p.text('[PPID ')
  p.namedOrHex(PAYLOAD_NAMES, p.u32(at + 12), '0x')
  p.text('] ')
  if (length === CHUNK_BYTES + 12) return printBadChunk(p, length)
  if (p.verbosity > 1) p.text('[Payload]')
  return true
}

function printSack(p: PacketPrinter, at: number, length: number): boolean {
  if (length < CHUNK_BYTES + 12) return printBadChunk(p, length)
  const acknowledged = p.u32(at + 4)
  const gaps = p.u16(at + 12)
  const duplicates = p.u16(at + 14)
  printField(p, 'cum ack ', acknowledged)
  printField(p, 'a_rwnd ', p.u32(at + 8))
  printField(p, '#gap acks ', gaps)
  printField(p, '#dup tsns ', duplicates)
  let next = at + CHUNK_BYTES + 12
  const end = at + length
  for (let i = 1; i <= gaps && next < end; i++, next += 4) {
    if (end - next < 4) return printBadChunk(p, length)
    p.text('\n\t\t[gap ack block #')
    p.decimal(i)
    p.text(': start = ')
    p.decimal((acknowledged + p.u16(next)) >>> 0)
    p.text(', end = ')
    p.decimal((acknowledged + p.u16(next + 2)) >>> 0)
    p.text('] ')
  }
  for (let i = 1; i <= duplicates && next < end; i++, next += 4) {
    if (end - next < 4) return printBadChunk(p, length)
    p.text('\n\t\t[dup TSN #')
    p.decimal(i)
    p.text(': ')
    p.decimal(p.u32(next))
    p.text('] ')
  }
  return true
}
