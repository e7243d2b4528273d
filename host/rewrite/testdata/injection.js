// Loads pages and tells their structure. The pages of one case should have one
// structure; what runs calls __hit().
'use strict'

const lists = ['srcset', 'imagesrcset', 'ping']
const addresses = ['href', 'src', 'action', 'formaction', 'data', 'poster', 'background', 'cite', 'longdesc', 'manifest', 'xlink:href', 'codebase']
const accepted = ['http:', 'https:', 'mailto:', 'tel:']
const movers = ['to', 'from', 'by', 'values']

// runs tells whether the browser would take the attribute's value for an address of another scheme.
function runs(name, value) {
  if (movers.includes(name)) return /script:|data:/i.test(value.replace(/[\t\n\r]/g, ''))
  if (!addresses.includes(name) && !lists.includes(name)) return false
  return (lists.includes(name) ? value.split(/[\s,]+/) : [value]).some(v => {
    try { return !accepted.includes(new URL(v, 'http://h.invalid/').protocol) } catch { return false }
  })
}

// shape is the structure below a node: elements, names of attributes, comments.
function shape(node) {
  let s = ''
  for (let c = node.firstChild; c; c = c.nextSibling) {
    if (c.nodeType === 8) s += '!'
    if (c.nodeType === 7) s += '?'
    if (c.nodeType !== 1) continue
    const names = [...c.attributes].map(a => a.name + (runs(a.name, a.value) ? '!' : '')).sort()
    s += '<' + c.namespaceURI.slice(-4) + ':' + c.localName + ' ' + names + '>'
    if (c.content) s += 'T(' + shape(c.content) + ')'
    if (c.shadowRoot) s += 'S(' + shape(c.shadowRoot) + ')'
    s += shape(c) + '</>'
  }
  return s
}

let hits = 0
window.__hit = () => { hits++ }

let frame
function written(page) {
  if (!frame) {
    frame = document.createElement('iframe')
    document.body.append(frame)
  }
  const doc = frame.contentDocument
  doc.open()
  frame.contentWindow.__hit = window.__hit
  doc.write(page)
  doc.close()
  return doc
}

const readers = {
  parse: page => new DOMParser().parseFromString(page, 'text/html'),
  xml: page => new DOMParser().parseFromString(page, 'application/xml'),
  write: written,
}

// check takes batch n and returns what is wrong in it.
function check(n, how) {
  const xhr = new XMLHttpRequest()
  xhr.open('GET', '/batch/' + n, false)
  xhr.send()
  const wrong = []
  for (const c of JSON.parse(xhr.responseText)) {
    const want = shape(readers[how](c.Base))
    for (const page of c.Pages) {
      hits = 0
      const have = shape(readers[how](page))
      if (have !== want || hits) wrong.push({What: c.What, Page: page, Have: have, Want: want, Hits: hits})
      if (wrong.length > 20) return wrong
    }
  }
  return wrong
}

// dangers are what runs in a page or restyles it: scripts and styles with their
// text, handlers, addresses that run, and how often __hit() was called.
function dangers(page) {
  hits = 0
  const found = []
  const look = node => {
    for (const e of node.querySelectorAll('*')) {
      const text = [...e.childNodes].filter(c => c.nodeType === 3).map(c => c.data).join('')
      if (/^(script|style)$/.test(e.localName) && text) found.push(e.localName + ' ' + e.getAttribute('type') + ' ' + text)
      for (const a of e.attributes) {
        if (/^(on|style$|srcdoc$)/.test(a.name) || runs(a.name, a.value)) found.push(e.localName + ' ' + a.name + '=' + a.value)
      }
      if (e.shadowRoot) look(e.shadowRoot)
    }
  }
  look(written(page))
  if (hits) found.push(hits + ' hits')
  return found
}

// visit loads the address in a frame of its own, waits for what may still run,
// and returns its structure and the texts of its elements t0, t1 and so on.
function visit(address) {
  return new Promise(done => {
    const f = document.createElement('iframe')
    hits = 0
    const end = () => {
      try {
        const doc = f.contentDocument
        const texts = []
        for (let i = 0, e; (e = doc.getElementById('t' + i)); i++) texts.push(e.textContent)
        done({Shape: shape(doc), Texts: texts, Hits: hits, Charset: doc.characterSet})
      } catch (e) {
        done({Shape: 'cannot be looked at: ' + e, Texts: [], Hits: hits, Charset: ''})
      }
      f.remove()
    }
    f.onload = () => setTimeout(end, 150)
    setTimeout(end, 20000)
    f.src = address
    document.body.append(f)
  })
}
