import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePcapHeader, PCAP_HEADER_BYTES, PCAP_RECORD_HEADER_BYTES, putPcapRecordHeader } from '#src/file/encode-pcap.js'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

test('file headers, byte by byte', () => {
  const us = encodePcapHeader({ precision: 'us', snapLengthBytes: 262144, linkType: 1 })
  assert.equal(hex(us), 'd4c3b2a1020004000000000000000000000004000100' + '0000')
  assert.equal(us.byteLength, PCAP_HEADER_BYTES)
  assert.equal(hex(encodePcapHeader({ precision: 'ns', snapLengthBytes: 65535, linkType: 113 })), '4d3cb2a1020004000000000000000000ffff000071000000')
})

test('a record header, byte by byte, and nothing around it', () => {
  const bytes = new Uint8Array(PCAP_RECORD_HEADER_BYTES + 8).fill(0xa5)
  putPcapRecordHeader(new DataView(bytes.buffer), 4, 0xffff_ffff, 999_999_999, 0x01020304, 0x05060708)
  assert.equal(hex(bytes), 'a5a5a5a5' + 'ffffffff' + 'ffc99a3b' + '04030201' + '08070605' + 'a5a5a5a5')
})
