import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Arithmetic, Clause, Qualifiers } from '#src/filter/ast.js'
import { FilterError } from '#src/filter/filter-error.js'
import { parseFilter } from '#src/filter/parser.js'

/** The tree on one line: `and` and `or` with what they join in brackets. */
function shape(text: string): string {
  const { clause } = parseFilter(text)
  return clause === undefined ? '' : shapeOf(clause)
}

function shapeOf(clause: Clause): string {
  switch (clause.kind) {
    case 'not':
      return `not ${shapeOf(clause.clause)}`
    case 'combination':
      return `[${shapeOf(clause.first)}${clause.rest.map(({ operator, clause: next }) => ` ${operator} ${shapeOf(next)}`).join('')}]`
    case 'id':
      return `${qualifiersOf(clause.qualifiers)}<${Object.values(clause.value)
        .slice(1)
        .map((value) => (typeof value === 'object' ? JSON.stringify(value) : value))
        .join(' ')}>`
    case 'protocol':
      return clause.protocol
    case 'relation':
      return `${arithmetic(clause.left)} ${clause.relation} ${arithmetic(clause.right)}`
    default: {
      const { start: _start, end: _end, ...rest } = clause
      return Object.values(rest)
        .filter((value) => value !== undefined)
        .join(' ')
    }
  }
}

function qualifiersOf(qualifiers: Qualifiers | undefined): string {
  return qualifiers === undefined
    ? 'nothing '
    : [qualifiers.protocol, qualifiers.direction, qualifiers.type].map((each) => (each === undefined ? '' : `${each} `)).join('')
}

function arithmetic(value: Arithmetic): string {
  switch (value.kind) {
    case 'constant':
      return String(value.value)
    case 'length':
      return 'len'
    case 'load':
      return `${value.protocol}[${arithmetic(value.offset)}:${value.size}]`
    case 'negate':
      return `(-${arithmetic(value.operand)})`
    case 'binary':
      return `(${arithmetic(value.left)} ${value.operator} ${arithmetic(value.right)})`
  }
}

test('and and or bind alike, to the left, and not binds tighter', () => {
  assert.equal(shape('tcp or udp and icmp or arp'), '[tcp or udp and icmp or arp]')
  assert.equal(shape('not tcp and udp'), '[not tcp and udp]')
  assert.equal(shape('not (tcp and udp)'), 'not [tcp and udp]')
  assert.equal(shape('! ! tcp'), 'tcp')
  assert.equal(shape('!!!tcp||!udp'), '[not tcp or not udp]')
  assert.equal(shape('(tcp or udp) and (icmp or arp)'), '[[tcp or udp] and [icmp or arp]]')
  assert.equal(shape('((tcp))'), 'tcp')
  assert.equal(shape('not tcp[0] = 1 or udp'), '[not tcp[0:1] = 1 or udp]')
})

test('an identifier takes the qualifiers of what is before it', () => {
  const cases: readonly [text: string, shape: string][] = [
    ['port 80 or 443', '[port <80> or port <443>]'],
    ['tcp dst port 80 or 443 and 22', '[tcp dst port <80> or tcp dst port <443> and tcp dst port <22>]'],
    ['src or dst net 10.1', 'src or dst net <10.1>'],
    ['dst or src 10.0.0.1', 'src or dst <10.0.0.1>'],
    ['src and dst port 53', 'src and dst port <53>'],
    ['not host a and b', '[not host <a> and host <b>]'],
    ['host not a', 'not host <a>'],
    ['port (80 or not 443)', '[port <80> or not port <443>]'],
    ['port (80)', 'port <80>'],
    ['port ((80))', 'port <80>'],
    ['port 80 or ! (443 or 22)', '[port <80> or not [port <443> or port <22>]]'],
    ['port 80 or (443 and host a) or 22', 'syntax error'],
    ['port 80 or (host a) or 443', '[port <80> or host <a> or port <443>]'],
    ['port 80 or (tcp and host a) or 443', '[port <80> or [tcp and host <a>] or port <443>]'],
    ['port 80 or tcp or 443', '[port <80> or tcp or nothing <443>]'],
    ['(port 80) or 443', '[port <80> or nothing <443>]'],
    ['port 80 or host a or b', '[port <80> or host <a> or host <b>]'],
    ['port 80 and 443 = 443 and 22', '[port <80> and 443 = 443 and nothing <22>]'],
    ['proto 6', 'proto <6>'],
    ['ip6 protochain \\tcp', 'ip6 protochain <tcp>'],
    ['gateway foo', 'gateway <foo>'],
    ['fddi src 1:2:3:4:5:6', 'link src <1:2:3:4:5:6>'],
    ['net 10.0.0.0/8', 'net <10.0.0.0 {"bits":8}>'],
    ['net 10.0 mask 255.0', 'net <10.0 {"text":"255.0"}>'],
    ['net ::1/64 or ::2', '[net <::1 64> or net <::2 >]'],
    ['host $1f', 'host <$1f>'],
    ['address1 host 1:2:3:4:5:6', 'addr1 host <1:2:3:4:5:6>'],
  ]
  for (const [text, expected] of cases) {
    if (expected === 'syntax error') assert.throws(() => shape(text), FilterError, text)
    else assert.equal(shape(text), expected, text)
  }
})

test('arithmetic: precedence, and the two operators that have none', () => {
  const cases: readonly [text: string, shape: string][] = [
    ['1 + 2 * 3 = 7', '(1 + (2 * 3)) = 7'],
    ['1 - 2 - 3 = 0', '((1 - 2) - 3) = 0'],
    ['1 | 2 & 3 << 4 + 5 * 6 = 0', '(1 | (2 & (3 << (4 + (5 * 6))))) = 0'],
    ['6 * 5 + 4 << 3 & 2 | 1 = 0', '(((((6 * 5) + 4) << 3) & 2) | 1) = 0'],
    ['2 * 3 % 4 + 5 = 0', '(2 * (3 % (4 + 5))) = 0'],
    ['1 ^ 2 | 3 = 0', '(1 ^ (2 | 3)) = 0'],
    ['1 % 2 % 3 = 0', '(1 % (2 % 3)) = 0'],
    ['- 1 + 2 = 1', '((-1) + 2) = 1'],
    ['- 1 % 2 = 1', '(-(1 % 2)) = 1'],
    ['- - 1 = 1', '(-(-1)) = 1'],
    ['(1 + 2) * 3 = 9', '((1 + 2) * 3) = 9'],
    ['(((5))) = len', '5 = len'],
    ['ip[ip[0] & 0xf:2] = 5', 'ip[(ip[0:1] & 15):2] = 5'],
    ['tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', '(tcp[13:1] & (2 | 16)) = 2'],
    ['length >= 5', 'len >= 5'],
    ['5 < link[0]', '5 < link[0:1]'],
    ['((ip[0]) + 1) > 2', '(ip[0:1] + 1) > 2'],
  ]
  for (const [text, expected] of cases) assert.equal(shape(text), expected, text)
})

test('primitives with keywords of their own', () => {
  for (const text of [
    'inbound',
    'outbound',
    'pppoed',
    'vlan',
    'vlan 5',
    'mpls 7',
    'geneve 1',
    'vxlan 1',
    'less 5',
    'greater 6',
    'ifindex 2',
    'llc',
    'llc ui',
    'llc rnr',
  ]) {
    assert.equal(shape(text), text)
  }
  assert.equal(shape('vlan ((5))'), 'vlan 5')
  assert.equal(shape('vlan and (5 = 5)'), '[vlan and 5 = 5]')
  assert.equal(shape('ip multicast'), 'multicast ip')
  assert.equal(shape('llc rulenum'), 'llc rnr')
  assert.equal(shape('byte 5 & 7'), 'byte 5 & 7')
  assert.equal(shape(''), '')
})

test('clauses keep their columns', () => {
  const columns = (text: string): string[] => {
    const found: string[] = []
    const visit = (clause: Clause): void => {
      found.push(text.slice(clause.start, clause.end))
      if (clause.kind === 'not') visit(clause.clause)
      if (clause.kind === 'combination') for (const next of [clause.first, ...clause.rest.map((part) => part.clause)]) visit(next)
    }
    const { clause } = parseFilter(text)
    if (clause !== undefined) visit(clause)
    return found
  }
  assert.deepEqual(columns(' tcp port 80 or 443'), ['tcp port 80 or 443', 'tcp port 80', '443'])
  assert.deepEqual(columns('not ( arp or net 10.0.0.0/8 )'), ['not ( arp or net 10.0.0.0/8 )', '( arp or net 10.0.0.0/8 )', 'arp', 'net 10.0.0.0/8'])
  assert.deepEqual(columns('(ip[0] & (0xf)) = 5'), ['(ip[0] & (0xf)) = 5'])
  assert.deepEqual(columns('vlan 5 and byte 0 = 1'), ['vlan 5 and byte 0 = 1', 'vlan 5', 'byte 0 = 1'])
})

test('a syntax error says what was expected, what is there, and where', () => {
  const cases: readonly [text: string, message: RegExp, marked: string][] = [
    ['tcp port', /^syntax error: expected an identifier, the expression ends$/, ''],
    ['tcp port and', /^syntax error: expected an identifier, got 'and'$/, 'and'],
    ['foo', /expected a qualifier, got 'foo'/, 'foo'],
    ['tcp udp', /expected 'and', 'or' or the end, got 'udp'/, 'udp'],
    ['(tcp', /expected 'and', 'or' or '\)', the expression ends/, ''],
    ['tcp)', /expected 'and', 'or' or the end, got '\)'/, ')'],
    ['host a and (b or port 80)', /expected an identifier, got 'port'/, 'port'],
    ['ip[0]', /expected an operator or a relation such as '=', the expression ends/, ''],
    ['ip[0] = ip', /expected '\[', the expression ends/, ''],
    ['ip[0] = 1 and 5 +', /expected a number, a field such as tcp\[13\], or len, the expression ends/, ''],
    ['ip[0:len] = 1', /expected the number of bytes, 1, 2 or 4, got 'len'/, 'len'],
    ['src or src host a', /expected 'dst' after 'src or', got 'src'/, 'src'],
    ['net 10.0.0.0 mask 8', /expected a network mask such as 255\.255\.0\.0, got '8'/, '8'],
    ['less x', /expected a number, got 'x'/, 'x'],
    ['tcp ; udp', /^illegal character ';'$/, ';'],
    ['tcp port 09 or', /number 09 contains non-octal digit/, '09'],
    ['lane', /^'lane' supported only on raw ATM$/, 'lane'],
    ['tcp and $', /illegal character/, '$'],
  ]
  for (const [text, message, marked] of cases) {
    assert.throws(
      () => parseFilter(text),
      (error) => {
        assert.ok(error instanceof FilterError)
        assert.equal(error.code, 'INVALID_FILTER')
        assert.match(error.message, message)
        assert.equal(text.slice(error.start, error.end), marked, text)
        return true
      },
      text,
    )
  }
})

test('what a user may have meant', () => {
  const hint = (text: string) => {
    try {
      parseFilter(text)
    } catch (error) {
      return (error as FilterError).hint
    }
    return undefined
  }
  assert.match(hint('10.0.0.1') ?? '', /host 10\.0\.0\.1/)
  assert.match(hint('ip proto tcp') ?? '', /\\tcp/)
})
