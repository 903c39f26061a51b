import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type NameTables, NO_NAMES, namesOf } from '#src/filter/names.js'
import { parseFilter } from '#src/filter/parser.js'
import { packetsOf } from '../../support/link-packets.js'
import { accepts, compileUnoptimised } from '../../support/verdicts.js'

test('which names are looked up, and where', () => {
  const names = (text: string) => Object.fromEntries(Object.entries(namesOf(parseFilter(text))).filter(([, list]) => list.length > 0))
  assert.deepEqual(names('tcp and port 80 and ip[0] = 1'), {})
  assert.deepEqual(names('host a or b or not (src a and dst c)'), { hosts: ['a', 'b', 'c'] })
  assert.deepEqual(names('port http or https or portrange ssh-domain'), { services: ['http', 'https', 'ssh', 'domain'] })
  assert.deepEqual(names('ip proto \\tcp and ip6 protochain \\esp and proto x'), { protocols: ['tcp', 'esp', 'x'] })
  assert.deepEqual(names('ether proto \\arp and iso proto \\isis'), {})
  assert.deepEqual(names('net home'), { networks: ['home'] })
  assert.deepEqual(names('ether host a and gateway b'), { ethers: ['a', 'b'], hosts: ['b'] })
  assert.deepEqual(names(''), {})
})

const SERVICES: Record<string, number> = { 'web/tcp': 80, 'dns/tcp': 53, 'dns/udp': 53, 'odd/tcp': 1024, 'odd/udp': 5353 }

const tables: NameTables = {
  ...NO_NAMES,
  host: (name) =>
    ({
      router: [Uint8Array.from([10, 0, 0, 1]), Uint8Array.from([10, 0, 0, 9]), Uint8Array.from([0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1])],
      four: [Uint8Array.from([10, 0, 0, 1])],
    })[name] ?? [],
  ether: (name) => (name === 'router' || name === 'four' ? Uint8Array.from([2, 0, 0x5e, 0x10, 0, 1]) : undefined),
  service: (name, protocol) => SERVICES[`${name}/${protocol}`],
  network: (name) => (name === 'ten' ? 10 : name === 'none' ? 0 : undefined),
}

const compile = (text: string) => compileUnoptimised(text, { linkType: 'EN10MB', snapLengthBytes: 1, names: tables })

/** Names of the packets that an expression takes. */
function taken(text: string): string[] {
  const program = compile(text)
  if (typeof program === 'string') assert.fail(`${text}: ${program}`)
  return packetsOf('EN10MB')
    .filter(({ bytes }) => accepts(program, bytes, {}))
    .map(({ name }) => name)
}

test('a name is all that it stands for', () => {
  const same: readonly [named: string, spelled: string][] = [
    ['host router', 'host 10.0.0.1 or 10.0.0.9 or 2001:db8::1'],
    ['ip src host router', 'ip src host 10.0.0.1 or 10.0.0.9'],
    ['ip6 host router', 'ip6 host 2001:db8::1'],
    ['port web', 'tcp port 80'],
    ['port dns', 'port 53'],
    ['udp port dns', 'udp port 53'],
    ['port odd', 'tcp port 1024'],
    ['portrange web-web', 'tcp port 80'],
    ['portrange dns-web', 'portrange 53-80'],
    ['net ten', 'net 10'],
    ['ether host router', 'ether host 02:00:5e:10:00:01'],
    ['gateway router', 'ether host 02:00:5e:10:00:01 and not host router'],
    ['arp gateway four', 'ether host 02:00:5e:10:00:01 and not arp host 10.0.0.1'],
  ]
  for (const [named, spelled] of same) {
    assert.deepEqual(taken(named), taken(spelled), named)
    assert.ok(taken(named).length > 0, named)
  }
})

test('names that are unknown, or known for something else', () => {
  assert.equal(compile('host nobody'), "unknown host 'nobody'")
  assert.equal(compile('ip6 host four'), "unknown host 'four' for specified address family")
  assert.equal(compile('arp host router'), "'arp' modifier applied to ip6 host")
  assert.equal(compile('gateway nobody'), 'unknown ether host: nobody')
  assert.equal(compile('tcp gateway router'), "illegal modifier of 'gateway'")
  assert.equal(compile('net none'), "unknown network 'none'")
  assert.equal(compile('udp port web'), "port 'web' is tcp")
  assert.equal(compile('portrange web-x'), "unknown port in range 'web-x'")
  assert.equal(compile('proto tcp6'), "unknown ip proto 'tcp6'")
  assert.equal(compile('ether proto constructor'), "unknown ether proto 'constructor'")
})
