/** The words of the page, in English and Chinese, and the language that is shown. */

const WORDS = {
  en: {
    language: '中文',
    languageLabel: 'Switch to Chinese',
    skip: 'Skip to the message box',
    tagline: 'Realtime messaging on your own server.',
    pickName: 'Your name',
    pickNameHint: 'Any name will do. It is kept in this tab only.',
    enter: 'Start chatting',
    entering: 'Signing in …',
    haveToken: 'I have a token',
    haveName: 'Sign in with a name instead',
    tokenWhy: 'Signing in by name is off on this server. Get a token from whoever runs it, or print one there:',
    tokenHow: 'On the machine of the server, this prints a token:',
    tokenLabel: 'Token',
    tokenEnter: 'Connect',
    tokenBad: 'That is not a token: it has three parts of letters and digits, separated by dots.',
    signInFailed: 'Signing in did not work: {reason}',
    noServer: 'the server cannot be reached',
    again: 'Please sign in again. {reason}',
    signOut: 'Sign out',
    conversations: 'Conversations',
    search: 'Search messages',
    searchFound: { one: '{n} message', other: '{n} messages' },
    searchNothing: 'Nothing found',
    searchMore: 'More',
    noConversations: 'You are in no conversation yet.',
    lonelyHint: 'As soon as somebody adds you to one, it appears here. This makes one, on the machine of the server:',
    copy: 'Copy',
    copied: 'Copied.',
    copyYourself: 'It is selected: copy it with the keyboard.',
    offlineCount: { one: '{n} offline', other: '{n} offline' },
    tooLong: 'This is too long to be sent: it takes {size} bytes, and at most {most} are allowed. Please shorten it.',
    dismiss: 'Dismiss',
    notice_info: 'Notice',
    notice_success: 'Good news',
    notice_warning: 'Warning',
    notice_error: 'Error',
    notice_urgent: 'Urgent',
    people: 'Who is here',
    showPeople: 'Conversations and people',
    you: 'you',
    members: { one: '{n} member', other: '{n} members' },
    membersHere: '{here} here · {members}',
    moreMembers: 'and {n} more',
    myStatus: 'My status',
    online: 'Online',
    away: 'Away',
    busy: 'Busy',
    dnd: 'Do not disturb',
    offline: 'Offline',
    connecting: 'Connecting …',
    connected: 'Connected',
    reconnecting: 'Reconnecting in {n} s',
    reconnectingNow: 'Reconnecting …',
    disconnected: 'Disconnected',
    youAreOffline: 'No network',
    tryNow: 'Try now',
    waitingNote: 'You can keep writing. What you send goes out when the connection is back.',
    stoppedNote: 'The server ended the connection ({code}): {reason}',
    gaveUp: 'The server could not be reached. Nothing you wrote is lost.',
    backAgain: 'Connected again.',
    message: 'Message',
    writeHere: 'Write a message',
    send: 'Send',
    keys: 'Enter sends · Shift + Enter starts a new line',
    empty: 'Nothing here yet',
    emptyHint: 'Say something, then open a second tab and answer yourself.',
    loading: 'Loading …',
    loadOlder: 'Load older messages',
    beginning: 'This is where the conversation begins.',
    loadFailed: 'The messages could not be loaded: {reason}',
    newMessages: 'New messages',
    jump: { one: '{n} new message', other: '{n} new messages' },
    jumpDown: 'To the newest',
    sending: 'Sending',
    queued: 'Waiting for the connection',
    sent: 'Sent',
    delivered: 'Delivered to {n} of {all}',
    read: 'Read by {n} of {all}',
    failed: 'Not sent: {reason}',
    retry: 'Try again',
    edit: 'Edit',
    recalled: 'This message was taken back.',
    image: '[Picture]',
    imageOf: '[Picture: {text}]',
    file: '[File: {name}]',
    voice: { one: '[Voice message of {n} second]', other: '[Voice message of {n} seconds]' },
    edited: 'edited',
    someone: '{name} says: {text}',
    typing1: '{a} is typing',
    typing2: '{a} and {b} are typing',
    typingMany: 'Several people are typing',
    today: 'Today',
    yesterday: 'Yesterday',
    secondTab: 'Open a second tab',
    secondTabHint: 'and be somebody else',
    what: 'What just happened',
    whatHint: 'The latest frames between this page and the server; docs/protocol.md explains each. Tokens are left out.',
    noFrames: 'No frames yet.',
    inbound: 'received',
    outbound: 'sent',
    problems: { one: '{n} irregularity', other: '{n} irregularities' },
    error_too_large: 'it is too long. {detail}',
    error_not_found: 'you are not in this conversation any more.',
    error_rate_limited: 'too many messages at once. Wait a moment.',
    error_overloaded: 'the server is overloaded.',
    error_unavailable: 'the server cannot reach its database.',
    error_timeout: 'no answer in time.',
    error_disconnected: 'there is no connection.',
    error_other: '{detail}',
  },
  zh: {
    language: 'English',
    languageLabel: '切换到英文',
    skip: '跳到输入框',
    tagline: '在你自己的服务器上实时聊天。',
    pickName: '你的名字',
    pickNameHint: '随便取一个，只保存在这个标签页里。',
    enter: '开始聊天',
    entering: '正在登录……',
    haveToken: '我有令牌',
    haveName: '改用名字登录',
    tokenWhy: '这台服务器不允许只用名字登录。请向管理员索取令牌，或在服务器上生成一个：',
    tokenHow: '在服务器上运行下面的命令即可得到令牌：',
    tokenLabel: '令牌',
    tokenEnter: '连接',
    tokenBad: '这不是令牌：令牌由三段字母和数字组成，用点隔开。',
    signInFailed: '登录失败：{reason}',
    noServer: '无法连接服务器',
    again: '请重新登录。{reason}',
    signOut: '退出',
    conversations: '会话',
    search: '搜索消息',
    searchFound: '找到 {n} 条消息',
    searchNothing: '没有找到',
    searchMore: '更多',
    noConversations: '你还没有加入任何会话。',
    lonelyHint: '有人邀请你后，会话会出现在这里。也可以在服务器上运行下面的命令建立一个：',
    copy: '复制',
    copied: '已复制。',
    copyYourself: '已选中，请用键盘复制。',
    offlineCount: { other: '{n} 人离线' },
    tooLong: '内容太长，无法发送：共 {size} 字节，最多 {most} 字节。请缩短后再发。',
    dismiss: '知道了',
    notice_info: '通知',
    notice_success: '成功',
    notice_warning: '警告',
    notice_error: '错误',
    notice_urgent: '紧急',
    people: '谁在这里',
    showPeople: '会话与成员',
    you: '我',
    members: { other: '{n} 位成员' },
    membersHere: '{here} 人在线 · {members}',
    moreMembers: '还有 {n} 人',
    myStatus: '我的状态',
    online: '在线',
    away: '离开',
    busy: '忙碌',
    dnd: '请勿打扰',
    offline: '离线',
    connecting: '正在连接……',
    connected: '已连接',
    reconnecting: '{n} 秒后重新连接',
    reconnectingNow: '正在重新连接……',
    disconnected: '已断开',
    youAreOffline: '没有网络',
    tryNow: '立即重试',
    waitingNote: '可以继续输入，连接恢复后会自动发送。',
    stoppedNote: '服务器结束了连接（{code}）：{reason}',
    gaveUp: '无法连接服务器。你写的内容不会丢失。',
    backAgain: '已重新连接。',
    message: '消息',
    writeHere: '输入消息',
    send: '发送',
    keys: 'Enter 发送 · Shift + Enter 换行',
    empty: '还没有消息',
    emptyHint: '先说点什么，再打开第二个标签页回复自己。',
    loading: '正在加载……',
    loadOlder: '加载更早的消息',
    beginning: '会话从这里开始。',
    loadFailed: '消息加载失败：{reason}',
    newMessages: '新消息',
    jump: { other: '{n} 条新消息' },
    jumpDown: '回到最新',
    sending: '正在发送',
    queued: '等待连接',
    sent: '已发送',
    delivered: '已送达 {n}/{all} 人',
    read: '已读 {n}/{all} 人',
    failed: '未发送：{reason}',
    retry: '重试',
    edit: '编辑',
    recalled: '消息已撤回。',
    image: '[图片]',
    imageOf: '[图片：{text}]',
    file: '[文件：{name}]',
    voice: '[语音消息，{n} 秒]',
    edited: '已编辑',
    someone: '{name} 说：{text}',
    typing1: '{a} 正在输入',
    typing2: '{a} 和 {b} 正在输入',
    typingMany: '多人正在输入',
    today: '今天',
    yesterday: '昨天',
    secondTab: '打开第二个标签页',
    secondTabHint: '换一个身份聊聊',
    what: '刚才发生了什么',
    whatHint: '本页与服务器之间最近的数据帧，说明见 docs/protocol.md。令牌已隐去。',
    noFrames: '还没有数据帧。',
    inbound: '收到',
    outbound: '发出',
    problems: { other: '{n} 处异常' },
    error_too_large: '内容太长。{detail}',
    error_not_found: '你已不在这个会话中。',
    error_rate_limited: '发送太快，请稍等。',
    error_overloaded: '服务器繁忙。',
    error_unavailable: '服务器暂时无法访问数据库。',
    error_timeout: '没有及时收到答复。',
    error_disconnected: '没有连接。',
    error_other: '{detail}',
  },
};

export class Language {
  constructor(preferred) {
    this.set(preferred);
  }

  /** Takes a language tag; every Chinese is `zh`, and everything else that is not is `en`. */
  set(tag) {
    this.code = /^zh\b/i.test(tag ?? '') ? 'zh' : 'en';
    this.tag = this.code === 'zh' ? 'zh-CN' : 'en';
    this.plural = new Intl.PluralRules(this.tag);
    this.time = new Intl.DateTimeFormat(this.tag, { hour: '2-digit', minute: '2-digit', hour12: false });
    this.date = new Intl.DateTimeFormat(this.tag, { dateStyle: 'full' });
    this.stamp = new Intl.DateTimeFormat(this.tag, { dateStyle: 'medium', timeStyle: 'medium' });
  }

  /** The words for `key`, with `{names}` filled in; `n` chooses between one and many. */
  t(key, values = {}) {
    let text = WORDS[this.code][key];
    if (typeof text === 'object') text = text[this.plural.select(values.n)] ?? text.other;
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
  }

  /** What went wrong, in words: the code chooses them, the server's own sentence is the detail. */
  error(error) {
    const key = `error_${error.code}`;
    return this.t(key in WORDS[this.code] ? key : 'error_other', { detail: error.message });
  }

  /** The day of `date` as a heading. */
  day(date, now = new Date()) {
    const midnight = (value) => new Date(value).setHours(0, 0, 0, 0);
    const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
    if (days === 0) return this.t('today');
    return days === 1 ? this.t('yesterday') : this.date.format(date);
  }

  /** Puts the words into everything under `root` that names them. */
  apply(root) {
    document.documentElement.lang = this.tag;
    for (const element of root.querySelectorAll('[data-t]')) {
      element.textContent = this.t(element.dataset.t);
    }
    for (const element of root.querySelectorAll('[data-t-label]')) {
      element.setAttribute('aria-label', this.t(element.dataset.tLabel));
      if (element.hasAttribute('title')) element.title = this.t(element.dataset.tLabel);
    }
    for (const element of root.querySelectorAll('[data-t-placeholder]')) {
      element.placeholder = this.t(element.dataset.tPlaceholder);
    }
  }
}
