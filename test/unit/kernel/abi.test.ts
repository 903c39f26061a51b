/**
 * Every number and every layout of src/kernel/abi/ against the kernel's own headers: a C program is made from the tables, compiled
 * and run. Nothing is left out silently: whatever an abi file exports is compared, or the test fails.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/** The headers of each abi file. A new file needs a line here. */
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  'bpf.ts': ['linux/bpf.h'],
  'btf.ts': ['linux/btf.h'],
  'capability.ts': ['linux/capability.h'],
  'ebpf.ts': ['linux/bpf.h'],
  'ethtool.ts': ['linux/ethtool.h'],
  'ethtool_netlink.ts': ['linux/ethtool_netlink.h'],
  'filter.ts': ['linux/bpf_common.h', 'linux/filter.h'],
  'genetlink.ts': ['linux/genetlink.h'],
  'if.ts': ['sys/socket.h', 'linux/if.h', 'linux/sockios.h'],
  'if_packet.ts': ['linux/if_packet.h'],
  'if_xdp.ts': ['linux/if_xdp.h', 'linux/bpf.h'],
  'mount.ts': ['linux/mount.h'],
  'net_tstamp.ts': ['linux/net_tstamp.h'],
  'netdev.ts': ['linux/netdev.h'],
  'netlink.ts': ['sys/socket.h', 'linux/netlink.h'],
  'packet_diag.ts': ['linux/packet_diag.h', 'linux/sock_diag.h'],
  'process.ts': [
    'sys/mman.h',
    'poll.h',
    'sys/eventfd.h',
    'sys/file.h',
    'sched.h',
    'signal.h',
    'sys/prctl.h',
    'linux/membarrier.h',
    'fcntl.h',
    'sys/resource.h',
    'time.h',
    'unistd.h',
  ],
  'rtnetlink.ts': ['linux/rtnetlink.h', 'linux/if_link.h', 'linux/if.h', 'linux/veth.h', 'linux/net_namespace.h'],
  'socket.ts': ['sys/socket.h', 'sys/uio.h', 'linux/if_ether.h', 'linux/if_arp.h', 'linux/net_tstamp.h', 'linux/filter.h'],
}

interface Layout {
  /** C spelling of the type. Default: `struct` and the table's name in lower case. */
  type?: string
  /** Where a field stands inside the type, when that is not its own name. */
  fields?: Readonly<Record<string, string>>
  /** C expression of where the type begins, when the table counts from further ahead. */
  start?: string
  /** C expression for `sizeof`, when the table is a part of the type. */
  size?: string
}

/** Tables whose names or fields are not simply those of a struct. */
const LAYOUTS: Readonly<Record<string, Layout>> = {
  BPF_ATTR_GET_ID: { type: 'union bpf_attr', size: 'offsetof(union bpf_attr, open_flags) + sizeof(__u32)' },
  BPF_ATTR_INFO: { type: '__typeof__(((union bpf_attr *)0)->info)' },
  BPF_ATTR_LINK_CREATE: {
    type: '__typeof__(((union bpf_attr *)0)->link_create)',
    size: 'offsetof(__typeof__(((union bpf_attr *)0)->link_create), flags) + sizeof(__u32)',
  },
  BPF_ATTR_LINK_DETACH: { type: '__typeof__(((union bpf_attr *)0)->link_detach)' },
  BPF_ATTR_LINK_UPDATE: {
    type: '__typeof__(((union bpf_attr *)0)->link_update)',
    size: 'offsetof(__typeof__(((union bpf_attr *)0)->link_update), old_prog_fd) + sizeof(__u32)',
  },
  BPF_ATTR_MAP_BATCH: { type: '__typeof__(((union bpf_attr *)0)->batch)' },
  BPF_ATTR_MAP_CREATE: { type: 'union bpf_attr', size: 'offsetof(union bpf_attr, map_ifindex) + sizeof(__u32)' },
  BPF_ATTR_MAP_ELEM: { type: 'union bpf_attr', size: 'offsetof(union bpf_attr, flags) + sizeof(__u64)' },
  BPF_ATTR_PROG_LOAD: { type: 'union bpf_attr', size: 'offsetof(union bpf_attr, expected_attach_type) + sizeof(__u32)' },
  BPF_ATTR_TEST: { type: '__typeof__(((union bpf_attr *)0)->test)' },
  BPF_LINK_INFO: { fields: { xdp_ifindex: 'xdp.ifindex' }, size: 'offsetof(struct bpf_link_info, xdp.ifindex) + sizeof(__u32)' },
  BPF_PROG_INFO: { size: 'offsetof(struct bpf_prog_info, ifindex)' },
  ETHTOOL_GFEATURES_HDR: { type: 'struct ethtool_gfeatures' },
  ETHTOOL_GSTRINGS_HDR: { type: 'struct ethtool_gstrings' },
  ETHTOOL_RXNFC: { size: 'offsetof(struct ethtool_rxnfc, data) + sizeof(__u64)' },
  ETHTOOL_SFEATURES_HDR: { type: 'struct ethtool_sfeatures' },
  PACKET_DIAG_MCLIST_ENTRY: { type: 'struct packet_diag_mclist' },
  SOCKADDR_LL_AFTER_HDR: { type: 'struct sockaddr_ll', start: 'TPACKET_ALIGN(sizeof(struct tpacket3_hdr))' },
  TPACKET_BLOCK_DESC: {
    fields: {
      block_status: 'hdr.bh1.block_status',
      num_pkts: 'hdr.bh1.num_pkts',
      offset_to_first_pkt: 'hdr.bh1.offset_to_first_pkt',
      blk_len: 'hdr.bh1.blk_len',
      seq_num: 'hdr.bh1.seq_num',
      ts_first_pkt: 'hdr.bh1.ts_first_pkt',
      ts_last_pkt: 'hdr.bh1.ts_last_pkt',
    },
  },
  XDP_MMAP_OFFSETS_LAYOUT: { type: 'struct xdp_mmap_offsets' },
  XDP_STATISTICS_LAYOUT: { type: 'struct xdp_statistics' },
  XDP_UMEM_REG_V2: { type: 'struct xdp_umem_reg', size: 'offsetof(struct xdp_umem_reg, flags) + 2 * sizeof(__u32)' },
  TPACKET3_HDR: { fields: { hv1_tp_rxhash: 'hv1.tp_rxhash', hv1_tp_vlan_tci: 'hv1.tp_vlan_tci', hv1_tp_vlan_tpid: 'hv1.tp_vlan_tpid' } },
}

/** Constants that are no name of the headers, or a negative int there: what C makes of them in the field that they stand in. */
const EXPRESSIONS: Readonly<Record<string, string>> = {
  IFLA_STATS_LINK_64_FILTER: 'IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64)',
  NLA_TYPE_MASK: '(__u16)NLA_TYPE_MASK',
  RXH_DISCARD: '(__u32)RXH_DISCARD',
  SPEED_UNKNOWN: '(__u32)SPEED_UNKNOWN',
}

/** Constants that no header has, with the value and the kernel source that it was read in: compared with that alone. */
const INTERNAL: Readonly<Record<string, readonly [value: number, source: string]>> = {
  TEST_XDP_MAX_BATCH: [256, 'net/bpf/test_run.c'],
}

/** What headers older than this do not have yet: there, and only there, it is not compared. */
const SINCE: Readonly<Record<string, readonly [major: number, minor: number]>> = {
  BPF_F_XDP_DEV_BOUND_ONLY: [6, 3],
  'ETHTOOL_RXFH.input_xfrm': [6, 8],
  NETDEV_A_DEV_IFINDEX: [6, 3],
  NETDEV_A_DEV_XDP_FEATURES: [6, 3],
  NETDEV_A_DEV_XDP_RX_METADATA_FEATURES: [6, 7],
  NETDEV_CMD_DEV_GET: [6, 3],
  NETDEV_XDP_ACT_BASIC: [6, 3],
  NETDEV_XDP_ACT_HW_OFFLOAD: [6, 3],
  NETDEV_XDP_ACT_NDO_XMIT: [6, 3],
  NETDEV_XDP_ACT_NDO_XMIT_SG: [6, 3],
  NETDEV_XDP_ACT_REDIRECT: [6, 3],
  NETDEV_XDP_ACT_RX_SG: [6, 3],
  NETDEV_XDP_ACT_XSK_ZEROCOPY: [6, 3],
  NETDEV_XDP_RX_METADATA_TIMESTAMP: [6, 7],
  NETDEV_XDP_RX_METADATA_VLAN_TAG: [6, 8],
  PACKET_FANOUT_FLAG_IGNORE_OUTGOING: [6, 2],
  RXH_GTP_TEID: [6, 9],
  RXH_IP6_FL: [6, 18],
  RXH_XFRM_SYM_OR_XOR: [6, 16],
  RXH_XFRM_SYM_XOR: [6, 8],
  TP_STATUS_GSO_TCP: [6, 3],
  XDP_PKT_CONTD: [6, 6],
  XDP_USE_SG: [6, 6],
}

type Expected = Map<string, number>

/** C statements that print each name with the value that the headers give it. */
function statements(file: string, exported: Record<string, unknown>, expected: Expected): string[] {
  const lines: string[] = []
  const add = (name: string, value: number, expression: string) => {
    expected.set(`${file} ${name}`, value)
    const version = SINCE[name]
    // The name stands where the compiler reports a line, so that its message says which constant or field is wrong.
    lines.push(
      ...(version ? [`#if LINUX_VERSION_CODE >= KERNEL_VERSION(${version[0]}, ${version[1]}, 0)`] : []),
      `#line 1 "${name}"`,
      `printf("${file} ${name} %lld\\n", (long long)(${expression}));`,
      ...(version ? ['#else', `printf("${file} ${name} absent\\n");`, '#endif'] : []),
    )
  }
  for (const [name, value] of Object.entries(exported)) {
    if (typeof value === 'number') {
      add(name, value, INTERNAL[name]?.[0].toString() ?? EXPRESSIONS[name] ?? name)
      continue
    }
    if (Array.isArray(value)) {
      // Names by number: IF_OPER[6] is 'up', which is IF_OPER_UP, and 'ptpv2-event' ethtool's for PTP_V2_EVENT.
      const inC = (text: unknown) => String(text).toUpperCase().replaceAll('-', '_').replace(/^PTPV/, 'PTP_V')
      for (const [number, text] of value.entries()) add(`${name}[${number}]`, number, `${name}_${inC(text)}`)
      continue
    }
    assert.ok(
      typeof value === 'object' && value !== null,
      `${file}: ${name} is a ${typeof value}: an abi file exports numbers, tables of offsets and lists of names only`,
    )
    const layout = LAYOUTS[name] ?? {}
    const type = layout.type ?? `struct ${name.toLowerCase()}`
    for (const [field, offset] of Object.entries(value)) {
      assert.ok(typeof offset === 'number', `${file}: ${name}.${field} is not a number`)
      const expression = field === 'sizeof' ? (layout.size ?? `sizeof(${type})`) : `offsetof(${type}, ${layout.fields?.[field] ?? field})`
      add(`${name}.${field}`, offset, layout.start === undefined ? expression : `${layout.start} + ${expression}`)
    }
  }
  return lines
}

/** Compiles and runs the program; the differences, one line each. */
function compare(file: string, headers: readonly string[], exported: Record<string, unknown>): string[] {
  const expected: Expected = new Map()
  const program = [
    '#define _GNU_SOURCE',
    '#include <stddef.h>',
    '#include <stdio.h>',
    '#include <linux/version.h>',
    // One that older headers lack is left out; what would be read from it is in SINCE, or does not compile.
    ...headers.flatMap((header) => [`#if __has_include(<${header}>)`, `#include <${header}>`, '#endif']),
    'int main(void) {',
    ...statements(file, exported, expected),
    'return 0;',
    '}',
    '',
  ].join('\n')
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-abi-'))
  try {
    writeFileSync(join(folder, 'abi.c'), program)
    const compiled = spawnSync('cc', ['-w', '-fmax-errors=0', '-o', 'abi', 'abi.c'], { cwd: folder, encoding: 'utf8' })
    assert.equal(
      compiled.status,
      0,
      `${file}: does not compile; name its headers in HEADERS, and in LAYOUTS the type or the path of a field that is called otherwise in C\n${compiled.stderr}`,
    )
    const run = spawnSync(join(folder, 'abi'), { encoding: 'utf8' })
    assert.equal(run.status, 0)
    const differences: string[] = []
    for (const line of run.stdout.trimEnd().split('\n')) {
      const at = line.lastIndexOf(' ')
      const name = line.slice(0, at)
      const value = line.slice(at + 1)
      const ours = expected.get(name)
      if (value !== 'absent' && Number(value) !== ours) differences.push(`${name} is ${ours}, the headers say ${value}`)
      expected.delete(name)
    }
    for (const name of expected.keys()) differences.push(`${name} was not compared`)
    return differences
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const root = fileURLToPath(new URL('../', import.meta.resolve('#src/index.js')))
const compiler = spawnSync('cc', ['--version']).status === 0
const skip = compiler || process.env.CI === 'true' ? false : 'no C compiler: install gcc to compare the tables with the kernel headers'

test('a wrong number, a wrong offset and a wrong size are found', { skip }, () => {
  const wrong = { PACKET_OUTGOING: 5, PACKET_HOST: 0, TPACKET_STATS_V3: { tp_packets: 0, tp_drops: 8, sizeof: 16 } }
  assert.deepEqual(compare('if_packet.ts', ['linux/if_packet.h'], wrong), [
    'if_packet.ts PACKET_OUTGOING is 5, the headers say 4',
    'if_packet.ts TPACKET_STATS_V3.tp_drops is 8, the headers say 4',
    'if_packet.ts TPACKET_STATS_V3.sizeof is 16, the headers say 12',
  ])
})

test('what the headers do not have, and what is neither number nor table, fails', { skip }, () => {
  assert.throws(() => compare('if_packet.ts', ['linux/if_packet.h'], { PACKET_NO_SUCH_THING: 1 }), /PACKET_NO_SUCH_THING:1:/)
  assert.throws(() => compare('if_packet.ts', ['linux/if_packet.h'], { NO_SUCH_STRUCT: { sizeof: 1 } }), /NO_SUCH_STRUCT.sizeof:1:/)
  assert.throws(() => compare('if_packet.ts', ['linux/if_packet.h'], { PACKET_HOST: '0' }), /PACKET_HOST is a string/)
  assert.throws(() => compare('if_packet.ts', ['linux/if_packet.h'], { TPACKET_STATS_V3: { tp_drops: 'x' } }), /tp_drops is not a number/)
})

for (const file of readdirSync(join(root, 'src/kernel/abi')).sort()) {
  test(`src/kernel/abi/${file} agrees with the kernel's headers`, { skip }, async () => {
    const headers = HEADERS[file]
    assert.ok(headers, `${file} is new: name its headers in HEADERS of test/unit/kernel/abi.test.ts`)
    const exported = (await import(`#src/kernel/abi/${file.replace(/\.ts$/, '.js')}`)) as Record<string, unknown>
    assert.ok(Object.keys(exported).length > 0, `${file} exports nothing`)
    assert.deepEqual(compare(file, headers, exported), [])
  })
}

test('every mapping is of use', async () => {
  const files = readdirSync(join(root, 'src/kernel/abi'))
  assert.deepEqual(
    Object.keys(HEADERS).filter((file) => !files.includes(file)),
    [],
  )
  const names = new Set<string>()
  for (const file of files) {
    for (const [name, value] of Object.entries((await import(`#src/kernel/abi/${file.replace(/\.ts$/, '.js')}`)) as object)) {
      names.add(name)
      if (typeof value === 'object') for (const field of Object.keys(value)) names.add(`${name}.${field}`)
    }
  }
  assert.deepEqual(
    [LAYOUTS, EXPRESSIONS, INTERNAL, SINCE].flatMap(Object.keys).filter((name) => !names.has(name)),
    [],
  )
})
