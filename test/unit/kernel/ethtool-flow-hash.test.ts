/**
 * What we read and tell of hash fields against ethtool(8) itself: it runs over a library that answers its ioctl in place of a driver, and shows what
 * it was told. So no driver that has such fields is needed, and no privilege.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Descriptor } from '#src/kernel/descriptor.js'
import { type FlowType, readFlowHash, setFlowHash } from '#src/kernel/ethtool-flow-hash.js'
import { hashLetters } from '../../support/ethtool-text.js'
import { type FakeDriverState, fakeDriver } from '../../support/fake-driver.js'
import { seededRandom } from '../../support/random.js'

const DRIVER = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
int ioctl(int fd, unsigned long request, ...) {
  va_list list;
  va_start(list, request);
  struct ifreq *ifr = va_arg(list, struct ifreq *);
  va_end(list);
  struct ethtool_rxnfc *nfc = (struct ethtool_rxnfc *)ifr->ifr_data;
  if (request == 0x8946 && nfc->cmd == ETHTOOL_GRXFH) nfc->data = strtoull(getenv("FIELDS"), NULL, 0);
  else if (request == 0x8946 && nfc->cmd == ETHTOOL_SRXFH) printf("%u %llu\\n", nfc->flow_type, (unsigned long long)nfc->data);
  else return errno = EOPNOTSUPP, -1;
  return 0;
}
`

const FLOWS: readonly FlowType[] = ['tcp4', 'udp4', 'tcp6', 'udp6', 'sctp4', 'sctp6']
/** Those that ethtool had before Linux 6.9. */
const LETTERS = 'mvtsdfn'

const folder = mkdtempSync(join(tmpdir(), 'ringtap-ethtool-'))
after(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'driver.c'), DRIVER)
const library = join(folder, 'driver.so')
const compiled = spawnSync('cc', ['-shared', '-fPIC', '-o', library, join(folder, 'driver.c')], { encoding: 'utf8' })
const hasTools = compiled.error === undefined && spawnSync('ethtool', ['--version']).status === 0
const skip = hasTools || process.env.CI === 'true' ? false : 'needs cc and ethtool'

function ethtool(argv: readonly string[], fields = 0n): string {
  const env = { ...process.env, LD_PRELOAD: library, FIELDS: `${fields}` }
  const { status, stdout, stderr } = spawnSync('ethtool', argv, { encoding: 'utf8', env })
  assert.equal(status, 0, `${argv.join(' ')}: ${stderr}${compiled.stderr}`)
  return stdout
}

function driver(fields: bigint) {
  const flowHash: NonNullable<FakeDriverState['flowHash']> = new Map([1, 2, 3, 5, 6, 7].map((flow) => [flow, { fields }]))
  const kernel = fakeDriver({ flowHash })
  return { flowHash, kernel, control: new Descriptor(kernel, 7) }
}

test('what we tell a driver is what ethtool tells it', { skip }, (t) => {
  const random = seededRandom(t)
  for (const flow of FLOWS) {
    for (const letters of ['sd', 'sdfn', 'r', [...LETTERS].filter(() => random.oneIn(2)).join('') || 'm']) {
      const [type, bits] = ethtool(['-N', 'eth0', 'rx-flow-hash', flow, letters]).split(/\s/)
      const { kernel, control, flowHash } = driver(0n)
      setFlowHash(kernel, control, 'eth0', flow, letters)
      assert.deepEqual(flowHash.get(Number(type)), { fields: BigInt(bits as string) }, `${flow} ${letters}`)
    }
  }
})

test('what we read is what ethtool shows', { skip }, (t) => {
  const random = seededRandom(t)
  const some = () => BigInt(random.between(0, 127) << 1)
  for (const fields of [0n, 0x30n, 0xf0n, 0xffff_ffff_8000_0000n, 0x8000_0000n, some(), some(), some()]) {
    const { kernel, control } = driver(fields)
    const shown = FLOWS.map((flow) => [flow, hashLetters(ethtool(['-n', 'eth0', 'rx-flow-hash', flow], fields))])
    assert.deepEqual(readFlowHash(kernel, control, 'eth0'), Object.fromEntries(shown), `0x${fields.toString(16)}`)
  }
})
