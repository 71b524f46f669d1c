"""The page's template, and its words in English and Chinese."""

import functools
import os
from pathlib import Path

from common.errors import UserError

# every fixed word of the page and of the collected figures; braces are filled in later
WORDS = {
    "en": {
        "lang": "en",
        "title": "The articles and our results",
        "contents": "Contents",
        "site_language": "中文",
        "site_readme": "README of the repository",
        "all": "all",
        "made_here": "made here",
        "intro": "The figures, claims and numbers in the articles of {blog}, next to the results of these scripts.",
        "blog_name": "Scientific Spaces",
        "presets": "Preset of the runs: {presets}.",
        "smoke": "Smoke trains for a few steps and only shows that the scripts work.",
        "quick": "Quick is often one seed and fewer steps than the READMEs' commands, from which the verdicts come.",
        "run_counts": "Runs: {counts}.",
        "count": "{count} {state}",
        "verdicts": "The verdicts and the committed pictures come from the articles' README files, which give their "
        "commands, seeds and machines.",
        "written_anew": "{command} writes it anew",
        "article": "article",
        "our_readme": "our README",
        "figures": "Figures",
        "claims": "Claims",
        "numbers": "Numbers",
        "runs": "Runs",
        "the_blog": "The blog",
        "blog_figure": "The blog's figure, shown where the blog can be reached: {caption}",
        "blog_video": "The blog's video: {caption}",
        "picture_on_blog": "the picture on the blog",
        "video_on_blog": "the video on the blog",
        "in_article": "in the article",
        "ours": "Ours",
        "our_figure": "Ours: {text}",
        "is_committed": "This picture is committed to the repository{kept}.",
        "committed_picture": "The committed picture",
        "committed_elsewhere": "{picture}{kept}.",
        "kept": ": {text}",
        "in_brackets": " ({text})",
        "from_run": "From the run {run}{settings}.",
        "another_picture": "Another picture",
        "another_from_run": "{picture}, from the run {run}{settings}.",
        "preset": "preset {preset}",
        "on": "on {dataset}",
        "instead_of": "on {dataset} instead of {article_dataset}",
        "comma": ", ",
        "to_make_it": "To make it:",
        "not_run_yet": "not run yet",
        "details": "Details",
        "no_claim": "No claim is listed.",
        "number": "Number",
        "published": "Published",
        "in_readme": "Ours, in the README",
        "in_runs": "Ours, in these runs",
        "protocol": "Protocol",
        "not_comparable": "not comparable: {caveats}",
        "other_preset": "preset {run} instead of {published}",
        "other_steps": "{run} steps instead of {published}",
        "other_dataset": "{run} instead of {published}",
        "not_measured_by_run": "not measured by this run{settings}; to measure it:",
        "no_run": "no listed run measures it",
        "no_number": "No published number is listed.",
        "dataset_missing": "On {dataset} instead of {article_dataset}, which was missing or not selected.",
        "pictures": "Pictures",
        "sliders": "Sliders",
        "slider_training": "Samples by the step of the training",
        "slider_temperature": "Samples by their temperature",
        "slider_code_scale": "Reconstructions by the scale of the code",
        "metrics": "Metrics ({count})",
        "settings": "Settings",
        "versions": "Versions",
        "log": "Log",
        "files_gone": "some of its output files no longer exist: {names}",
        "not_a_number": "not a number",
        "from_folder": "{caption}. From `{folder}`.",
        "days": "{count} days",
        "hours": "{count} hours",
        "minutes": "{count} minutes",
        "seconds": "{count} seconds",
        # states and verdicts
        "finished": "finished",
        "running": "running",
        "failed": "failed",
        "damaged": "damaged",
        "missing": "missing",
        "stands": "stands",
        "stands in part": "stands in part",
        "does not stand": "does not stand",
        "not measured": "not measured",
    },
    "zh": {
        "lang": "zh-Hans",
        "title": "文章与我们的结果",
        "contents": "目录",
        "site_language": "English",
        "site_readme": "仓库的 README",
        "all": "全部",
        "made_here": "已在本机得到",
        "intro": "{blog}各篇文章里的图、论断和数字，以及这些脚本得到的结果，并排对照。",
        "blog_name": "科学空间",
        "presets": "实验所用的预设：{presets}。",
        "smoke": "smoke 只训练几步，仅能说明脚本可以运行。",
        "quick": "quick 往往只有一个种子，步数也比 README 里的命令少；结论来自后者。",
        "run_counts": "实验：{counts}。",
        "count": "{count} 个{state}",
        "verdicts": "结论和仓库里的图来自各文章的 README，那里写明了命令、随机种子和机器。",
        "written_anew": "{command} 会重新写出它",
        "article": "文章",
        "our_readme": "我们的 README",
        "figures": "图",
        "claims": "论断",
        "numbers": "数字",
        "runs": "实验",
        "the_blog": "博客",
        "blog_figure": "博客的图，能访问博客时显示：{caption}",
        "blog_video": "博客的视频：{caption}",
        "picture_on_blog": "博客上的图",
        "video_on_blog": "博客上的视频",
        "in_article": "见文章",
        "ours": "我们",
        "our_figure": "我们：{text}",
        "is_committed": "这幅图保存在仓库里{kept}。",
        "committed_picture": "仓库里的图",
        "committed_elsewhere": "{picture}{kept}。",
        "kept": "：{text}",
        "in_brackets": "（{text}）",
        "from_run": "来自实验 {run}{settings}。",
        "another_picture": "另一幅图",
        "another_from_run": "{picture}，来自实验 {run}{settings}。",
        "preset": "预设 {preset}",
        "on": "数据 {dataset}",
        "instead_of": "数据 {dataset}，代替 {article_dataset}",
        "comma": "，",
        "to_make_it": "用这条命令得到：",
        "not_run_yet": "还没有运行",
        "details": "详情",
        "no_claim": "没有列出论断。",
        "number": "数字",
        "published": "已发表",
        "in_readme": "我们，README 中",
        "in_runs": "我们，本次实验",
        "protocol": "测量方法",
        "not_comparable": "不可直接比较：{caveats}",
        "other_preset": "预设是 {run}，而不是 {published}",
        "other_steps": "{run} 步，而不是 {published} 步",
        "other_dataset": "数据是 {run}，而不是 {published}",
        "not_measured_by_run": "本次实验没有测量{settings}；测量的命令：",
        "no_run": "没有列出的实验测量它",
        "no_number": "没有列出已发表的数字。",
        "dataset_missing": "用 {dataset} 代替 {article_dataset}，后者不在本机或没有选用。",
        "pictures": "图片",
        "sliders": "滑块",
        "slider_training": "样本，按训练的步数",
        "slider_temperature": "样本，按温度",
        "slider_code_scale": "重构，按编码的倍数",
        "metrics": "指标（{count} 项）",
        "settings": "设置",
        "versions": "版本",
        "log": "日志",
        "files_gone": "有些输出文件已不存在：{names}",
        "not_a_number": "不是数",
        "from_folder": "{caption}。来自 `{folder}`。",
        "days": "{count} 天",
        "hours": "{count} 小时",
        "minutes": "{count} 分钟",
        "seconds": "{count} 秒",
        "finished": "已完成",
        "running": "运行中",
        "failed": "失败",
        "damaged": "已损坏",
        "missing": "缺少",
        "stands": "成立",
        "stands in part": "部分成立",
        "does not stand": "不成立",
        "not measured": "没有测量",
    },
}


def page_language(env=os.environ):
    """Return the language of the page: that of KEXUE_LANG, else Chinese under a Chinese locale, else English.

    Args:
        env: dict of environment variables (default: those of the process).

    Raises:
        UserError: if KEXUE_LANG is none of `WORDS`.
    """
    chosen = env.get("KEXUE_LANG")
    if chosen and chosen not in WORDS:
        raise UserError(f"KEXUE_LANG must be one of {', '.join(WORDS)}. Received: {chosen}")
    locale = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    return chosen or ("zh" if locale.lower().startswith("zh") else "en")


def in_language(content, language):
    """Return the content of a list in a language: in Chinese the text of `caption_zh` takes the place of `caption`.

    Args:
        content: what `lists.read_lists` returns, or a part of it.
        language: a key of `WORDS`.
    """
    if isinstance(content, list):
        return [in_language(entry, language) for entry in content]
    if not isinstance(content, dict):
        return content
    suffix = f"_{language}"
    own = {key.removesuffix(suffix): value for key, value in content.items() if key.endswith(suffix)}
    return {key: in_language(own.get(key, value), language) for key, value in content.items() if key[-3:] != "_zh"}


@functools.cache
def load_template(name="report.html.jinja"):
    """Return the template of the page, or another one of this folder."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(name)


def format_duration(seconds, words=WORDS["en"]):
    """Return a duration in its natural unit, such as "2 minutes" or "4 hours", in the language of `words`."""
    for unit, length, minimum in (("days", 86400, 2), ("hours", 3600, 3), ("minutes", 60, 100 / 60)):
        if seconds >= minimum * length:
            return words[unit].format(count=f"{seconds / length:.0f}")
    return words["seconds"].format(count=f"{seconds:.0f}")
