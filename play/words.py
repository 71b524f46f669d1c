"""The words of the page, in English and Chinese."""

PAIRS = {
    "title": ("Play with the articles", "玩一玩这些文章"),
    "intro": (
        "Small trained networks of this repository, on your own machine: nothing is uploaded, nothing is kept.",
        "本仓库训练好的小网络，全部在你自己的电脑上运行：不上传任何东西，也不保留任何东西。",
    ),
    "sorry": ("That did not work", "没有成功"),
    "broken": (
        "Something here is broken ({error}). The terminal says more; please report it.",
        "这里出了问题（{error}）。终端里有更多说明，欢迎反馈。",
    ),
    # O-GAN
    "ogan/tab": ("O-GAN", "O-GAN 人脸"),
    "ogan/intro": (
        "A discriminator that is an encoder ([6409](https://kexue.fm/archives/6409)). Drop a photo of a face: its "
        "largest centre square, at 32 pixels, becomes a code, and the code a face again. Without a photo it shows a "
        "face of its own.",
        "判别器就是编码器（[6409](https://kexue.fm/archives/6409)）。放入一张人脸照片：取其中央最大的正方形，"
        "缩到 32 像素，变成编码，再由编码变回人脸。没有照片时，用它自己生成的一张脸。",
    ),
    "ogan/photo": ("a photo (JPEG, PNG, ...)", "一张照片（JPEG、PNG 等）"),
    "ogan/other": ("a second photo, to morph to", "第二张照片（渐变的终点）"),
    "ogan/seed": ("face of its own, if there is no photo", "没有照片时，用第几张生成的脸"),
    "ogan/scale": ("scale of the code (the author: 0.9)", "编码的缩放（作者用 0.9）"),
    "ogan/pair": ("the picture and its reconstruction", "原图与重构"),
    "ogan/code": ("its code: 128 numbers", "它的编码：128 个数"),
    "ogan/morph": ("from the first picture to the second", "从第一张渐变到第二张"),
    "ogan/direction": ("direction of the code", "编码的方向"),
    "ogan/amount": ("how far", "移动多远"),
    "ogan/moved": ("against the direction, and along it", "沿反方向与正方向移动"),
    "ogan/brightness": ("brightness", "亮度"),
    "ogan/warmth": ("warmth of the colours", "色彩冷暖"),
    "ogan/light from the left": ("light from the left", "左侧来光"),
    "ogan/contrast": ("contrast", "对比度"),
    "ogan/background": ("bright background", "明亮的背景"),
    # flows
    "flow/tab": ("Flows", "流模型"),
    "flow/intro": (
        "A Glow of digits ([5807](https://kexue.fm/archives/5807)). It is invertible, so it gives every picture a code "
        "and a probability. This one was trained for a quarter of an hour, the one of faces for half an hour.",
        "一个手写数字的 Glow（[5807](https://kexue.fm/archives/5807)）。它可逆，所以每张图都有编码和概率。"
        "这一个训练了一刻钟，人脸的那个训练了半小时。",
    ),
    "flow/what": ("what it was trained on", "训练数据"),
    "flow/digits": ("digits", "数字"),
    "flow/faces": ("faces", "人脸"),
    "flow/temperature": ("temperature", "温度"),
    "flow/seed": ("noise", "噪声"),
    "flow/samples": ("samples", "采样"),
    "flow/digit 3": ("first digit", "第一个数字"),
    "flow/digit 7": ("second digit", "第二个数字"),
    "flow/line": (
        "on the line between the codes of two digits (made by a GAN)",
        "两个数字的编码之间的连线（数字来自一个 GAN）",
    ),
    "flow/draw": (
        "Take the pencil, draw a digit, and read how surprising it is.",
        "选铅笔，画一个数字，看看它有多“意外”。",
    ),
    "flow/paper": ("paper", "画板"),
    "flow/go": ("measure", "计算"),
    "flow/seen": ("what the flow sees", "流模型看到的"),
    "flow/bits": (
        "**{drawing:.2f} bits/dim** for your drawing, {digits:.2f} for digits of a GAN, {noise:.2f} for pure noise. "
        "Fewer bits: more probable.",
        "你的画：**{drawing:.2f} bits/dim**；GAN 的数字：{digits:.2f}；纯噪声：{noise:.2f}。比特越少，概率越大。",
    ),
    # energy
    "energy/tab": ("Energy", "能量模型"),
    "energy/intro": (
        "A GAN whose critic is minus an energy U ([6316](https://kexue.fm/archives/6316), "
        "[6331](https://kexue.fm/archives/6331)). 400 chains walk through the latents; dark is low energy.",
        "判别器是负能量 U 的 GAN（[6316](https://kexue.fm/archives/6316)、[6331](https://kexue.fm/archives/6331)）。"
        "400 条链在隐变量中行走；颜色越暗，能量越低。",
    ),
    "energy/beta": ("inverse temperature", "逆温度"),
    "energy/step size": ("step size", "步长"),
    "energy/rule": ("acceptance", "接受规则"),
    "energy/forward": ("10 steps forward", "前进 10 步"),
    "energy/back": ("10 steps back", "后退 10 步"),
    "energy/restart": ("start again", "重新开始"),
    "energy/picture": ("the chains on the energy, and their mean energy", "能量面上的链，以及平均能量"),
    "energy/text": (
        "step {step}, acceptance {acceptance}, mean energy {energy:.3f}",
        "第 {step} 步，接受率 {acceptance}，平均能量 {energy:.3f}",
    ),
    # a GAN in the plane
    "plane/tab": ("A GAN in the plane", "平面上的 GAN"),
    "plane/intro": (
        "Every loss of [6110](https://kexue.fm/archives/6110) and its list, in training. Grey: data; orange: fakes; "
        "red: the critic's score is high; arrows: where it pulls the fakes.",
        "[6110](https://kexue.fm/archives/6110) 及其列表中的每一种 loss，现场训练。灰：数据；橙：生成的点；"
        "红：判别器打分高；箭头：它把生成的点拉向哪里。",
    ),
    "plane/data": ("data", "数据"),
    "plane/loss": ("loss", "loss"),
    "plane/penalty": ("penalty", "惩罚项"),
    "plane/own": ("as in the method", "按方法本身"),
    "plane/weight": ("weight of the penalty (0: its default)", "惩罚项的权重（0：默认值）"),
    "plane/rate": ("log10 of the learning rate", "学习率的 log10"),
    "plane/seed": ("seed", "随机种子"),
    "plane/train": ("train", "训练"),
    "plane/pause": ("pause", "暂停"),
    "plane/step": ("one step", "走一步"),
    "plane/restart": ("start again", "重新开始"),
    "plane/picture": ("the game", "对抗过程"),
    "plane/text": ("step {step}", "第 {step} 步"),
    # f-GAN
    "fgan/tab": ("f-GAN", "f-GAN 散度"),
    "fgan/intro": (
        "Two samples, and every divergence between them, estimated by one small critic "
        "([6016](https://kexue.fm/archives/6016)): p is normal, q is N(0, 1).",
        "两组样本，用一个小判别器估计它们之间的每一种散度（[6016](https://kexue.fm/archives/6016)）：p 是正态分布，"
        "q 是 N(0, 1)。",
    ),
    "fgan/mean": ("mean of p", "p 的均值"),
    "fgan/std": ("standard deviation of p", "p 的标准差"),
    "fgan/n": ("points of each sample", "每组样本的点数"),
    "fgan/go": ("estimate", "估计"),
    "fgan/picture": ("the samples; the log ratio of their densities", "两组样本；密度之比的对数"),
    "fgan/name": ("divergence", "散度"),
    "fgan/estimate": ("from the samples", "由样本估计"),
    "fgan/exact": ("exact", "精确值"),
    # couplets
    "couplet/tab": ("Couplets", "对联"),
    "couplet/intro": (
        "Type an upper line; gated convolutions answer it ([6270](https://kexue.fm/archives/6270)).",
        "输入上联，门控卷积来对下联（[6270](https://kexue.fm/archives/6270)）。",
    ),
    "couplet/line": ("upper line", "上联"),
    "couplet/temperature": ("temperature (0: the most probable)", "温度（0：最可能的下联）"),
    "couplet/go": ("answer", "对下联"),
    "couplet/unknown": ("The network does not know {characters}.", "网络不认识：{characters}"),
}
WORDS = {language: {key: pair[i] for key, pair in PAIRS.items()} for i, language in enumerate(("en", "zh"))}
