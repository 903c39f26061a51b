import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { encodeAttributes, u32 } from '#src/kernel/netlink.js'
import { findHints, missingHints } from '#src/source/xdp-hints.js'
import { type BtfType, btfBlob } from '../../support/btf-blob.js'
import { ack, answering, join as joinBytes, refusal } from '../../support/netlink-answers.js'

const TIMESTAMP: BtfType = { kind: 'func', name: 'bpf_xdp_metadata_rx_timestamp' }
const VLAN: BtfType = { kind: 'func', name: 'bpf_xdp_metadata_rx_vlan_tag' }
const GENERIC = Uint8Array.of(1, 1, 0, 0)

const folder = mkdtempSync(join(tmpdir(), 'ringtap-hints-'))
after(() => rmSync(folder, { recursive: true }))

function btf(name: string, bytes: Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}

/** A kernel whose driver has these NETDEV_XDP_RX_METADATA_*; undefined: it does not tell. */
function driver(bits: number | undefined) {
  const family = { type: 0x10, body: joinBytes(GENERIC, encodeAttributes([[1, Uint8Array.of(0x1d, 0)]])) }
  const device = { type: 0x1d, body: joinBytes(GENERIC, encodeAttributes([[5, joinBytes(u32(bits ?? 0), u32(0))]])) }
  return (bits === undefined ? answering([[refusal(2)]]) : answering([[family, ack]], [[device, ack]])).kernel
}

const found = (bits: number | undefined, path: string) => {
  const { functions, missing } = findHints(driver(bits), 'eth0', 7, path)
  return { ...functions, why: Object.fromEntries(missing) }
}

describe('what is to be had', () => {
  const both = btf('both', btfBlob([{ kind: 'ptr' }, TIMESTAMP, { kind: 'struct', entries: 2 }, VLAN]))

  test('both', () => {
    for (const bits of [7, 5, undefined]) assert.deepEqual(found(bits, both), { timestamp: 2, vlan: 4, why: {} })
  })

  test('what the driver has not, whatever the kernel has', () => {
    const none = 'its driver gives XDP programs none'
    assert.deepEqual(found(0, both), { timestamp: undefined, vlan: undefined, why: { timestamp: none, vlan: none } })
    assert.deepEqual(found(1, both), { timestamp: 2, vlan: undefined, why: { vlan: none } })
    assert.deepEqual(found(4, both), { timestamp: undefined, vlan: 4, why: { timestamp: none } })
    // Then nobody looks into the kernel's types.
    assert.deepEqual(found(2, join(folder, 'absent')).why, { timestamp: none, vlan: none })
  })

  test('what the kernel has not', () => {
    const old = btf('old', btfBlob([TIMESTAMP]))
    const noVlan = `Linux ${release()} has no bpf_xdp_metadata_rx_vlan_tag, which came with 6.8`
    const noTimestamp = `Linux ${release()} has no bpf_xdp_metadata_rx_timestamp, which came with 6.3`
    for (const bits of [3, undefined]) {
      const { timestamp, vlan, why } = found(bits, old)
      assert.deepEqual([timestamp, vlan], [1, undefined])
      assert.equal(why.vlan, bits === 3 ? 'its driver gives XDP programs none' : noVlan)
    }
    assert.deepEqual(found(undefined, btf('older', btfBlob([{ kind: 'int' }]))), {
      timestamp: undefined,
      vlan: undefined,
      why: { timestamp: noTimestamp, vlan: noVlan },
    })
  })

  test('a kernel that tells no types, or in a way that we cannot read', () => {
    for (const [path, reason] of [
      [join(folder, 'absent'), /^the kernel's functions are not to be found \(CONFIG_DEBUG_INFO_BTF\): ENOENT: .*absent'$/],
      [btf('broken', new Uint8Array(100)), /^the kernel's functions are not to be found .*: BTF that cannot be read: magic 0x0 and version 0$/],
    ] as const) {
      const { timestamp, vlan, why } = found(7, path)
      assert.deepEqual([timestamp, vlan], [undefined, undefined])
      assert.match(why.timestamp ?? '', reason)
      assert.equal(why.vlan, why.timestamp)
    }
  })
})

test('a sentence for each reason', () => {
  assert.deepEqual(missingHints('eth0', new Map()), [])
  assert.deepEqual(missingHints('eth0', new Map([['vlan', 'why not']])), ['eth0: no VLAN tags from the NIC: why not'])
  const same = [
    ['vlan', 'why not'],
    ['timestamp', 'why not'],
  ] as const
  assert.deepEqual(missingHints('eth0', new Map(same)), ['eth0: no time stamps and no VLAN tags from the NIC: why not'])
  const two = [
    ['timestamp', 'one'],
    ['vlan', 'two'],
  ] as const
  assert.deepEqual(missingHints('eth0', new Map(two)), ['eth0: no time stamps from the NIC: one', 'eth0: no VLAN tags from the NIC: two'])
})
